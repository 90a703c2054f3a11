"""A mirror of a run in W&B. The only file that imports wandb; nothing that happens here stops a run."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from softlookup.errors import UserError, nearest
from softlookup.heatmap import Lookup, draw

MODES = ("offline", "online", "disabled")
REACH = 4.0  # seconds in which W&B's server must answer at the start
UPLOAD = 30.0  # seconds that a finished run waits for the rest of its upload
TAG_LENGTH = 64  # W&B refuses longer tags


class Tracker:
    """Sends one run to W&B: `start`, then `log`, then `finish` or `fail`. `disabled` does nothing and writes nothing.

    Files go to `wandb/` in the run folder. wandb writes nothing to the terminal and leaves no process behind. What
    goes wrong with it is one line in `messages`; tracking then ends, and the run goes on.
    Raises UserError for a mode that does not exist.
    """

    def __init__(self, mode: str, project: str) -> None:
        if mode not in MODES:
            raise UserError(f"tracking.mode={mode}: {nearest(mode, MODES)}")
        self.mode = mode
        self.project = project
        self.messages: list[str] = []
        self._run: Any = None

    def start(self, folder: Path, run_id: str, group: str, tags: Sequence[str], config: dict[str, Any]) -> str | None:
        """Begin the run: `group` is its experiment, `tags` its choices, `config` the resolved config.

        `online` without a key, or with no answer in 4 seconds, becomes offline. Returns the message that says so, with
        the command that uploads the run later; None when all is as it was asked for.
        """
        if self.mode == "disabled":
            return None
        before = len(self.messages)
        about = {
            "project": self.project,
            "dir": folder,
            "id": run_id,
            "name": run_id,
            "group": group,
            "tags": list(dict.fromkeys(tag[:TAG_LENGTH] for tag in tags)),
            "config": config,
        }
        self._safely("start", lambda: self._start(folder, about))
        return self.messages[-1] if len(self.messages) > before else None

    def log(self, metrics: dict[str, float | int | None], step: int) -> None:
        """One point of every curve; what is None is absent."""
        known = {name: value for name, value in metrics.items() if value is not None}
        self._safely("log", lambda: self._run.log(known, step=step))

    def finish(self, result: dict[str, Any], heat_maps: Sequence[Lookup] = ()) -> None:
        """End a run that did its work, with its result row as summary and the heat maps as images."""

        def last() -> None:
            self._run.summary.update(flatten(result))
            if heat_maps:
                # A name for each: W&B wants the images of one list to be of one size.
                self._run.log({f"alignments/{i}": _image(heat_map) for i, heat_map in enumerate(heat_maps)})

        self._safely("finish", last)
        self._safely("finish", lambda: self._stop(0))

    def fail(self, reason: str) -> None:
        """End a run that did not: it is marked as failed, with the reason in its summary."""
        self._safely("fail", lambda: self._run.summary.update({"status": "failed", "reason": reason}))
        self._safely("fail", lambda: self._stop(1))

    def _safely(self, doing: str, action: Callable[[], object]) -> None:
        """Do it while tracking goes on; the first error ends tracking with a message."""
        if self._run is None and doing != "start":
            return
        try:
            action()
        except Exception as error:
            ended = f"W&B tracking ended ({doing}: {_line(error)}); the run goes on, and its own files hold everything"
            self.messages.append(ended + self._where())
            self._abandon()

    def _start(self, folder: Path, about: dict[str, Any]) -> None:
        # Reports of wandb's own errors would go out to the network, offline too.
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        import wandb

        # wandb replaces both when it starts its service; an uncaught error would then be printed twice.
        kept = sys.exit, sys.excepthook
        try:
            wandb.setup(_settings())
            reason = self._go_online(folder, about) if self.mode == "online" else ""
            if self._run is None:
                self._run = wandb.init(mode="offline", settings=_settings(), **about)
        finally:
            sys.exit, sys.excepthook = kept
        if reason:
            self.messages.append(f"W&B is offline for this run ({reason}){self._where()}")

    def _go_online(self, folder: Path, about: dict[str, Any]) -> str:
        """Start the run online; returns why not, and then leaves nothing of the attempt behind."""
        import wandb

        if not wandb.login(prompt=False, verify=False):
            return "no API key; type: wandb login"
        earlier = set(folder.glob("wandb/run-*"))
        try:
            self._run = wandb.init(mode="online", settings=_settings(), **about)
        except Exception as error:
            wandb.teardown(exit_code=1)
            for attempt in set(folder.glob("wandb/run-*")) - earlier:
                shutil.rmtree(attempt, ignore_errors=True)
            return _line(error)
        return ""

    def _where(self) -> str:
        """How to upload what was written."""
        if self._run is None:
            return ""
        return f"; upload it later with: wandb sync {shlex.quote(str(Path(self._run.settings.sync_dir)))}"

    def _stop(self, exit_code: int) -> None:
        import wandb

        self._run.finish(exit_code=exit_code)
        self._run = None
        wandb.teardown(exit_code=exit_code)

    def _abandon(self) -> None:
        """Give up the run and wandb's process, whatever state they are in."""
        self._run = None
        # What cannot be told to stop any more has died already, or ends with this process.
        with contextlib.suppress(Exception):
            import wandb

            wandb.teardown(exit_code=1)


def _settings() -> Any:
    """No terminal output, nothing measured about the machine, no code copied, and bounded waits."""
    import wandb

    return wandb.Settings(
        silent=True,
        console="off",
        init_timeout=REACH,
        finish_timeout=UPLOAD,
        finish_timeout_raises=True,
        disable_git=True,
        save_code=False,
        x_disable_stats=True,
        x_disable_meta=True,
        x_disable_machine_info=True,
        x_save_requirements=False,
    )


def _image(heat_map: Lookup) -> Any:
    import wandb
    from PIL import Image

    buffer = io.BytesIO()
    draw(heat_map, buffer)
    return wandb.Image(Image.open(buffer), caption=f"{' '.join(heat_map.source)} → {' '.join(heat_map.target)}")


def _line(error: Exception) -> str:
    """The first line of an error, which may have many."""
    return f"{type(error).__name__}: {error}".split("\n")[0][:200]


def flatten(result: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """A result row as one level of names: metrics and cost keep theirs, buckets are by_length/LOW-HIGH/NAME, what is
    None is absent.

    >>> flatten({"metrics": {"test/bleu": 7.0}, "seed": 1, "by_length": [{"low": 2, "high": 3, "count": 5}]})
    {'test/bleu': 7.0, 'seed': 1, 'by_length/2-3/count': 5}
    """
    flat: dict[str, Any] = {}
    for name, value in result.items():
        path = "" if name in ("metrics", "cost") and not prefix else f"{prefix}{name}"
        if isinstance(value, dict):
            flat |= flatten(value, f"{path}/" if path else "")
        elif name == "by_length":
            for row in value:
                measured = {k: v for k, v in row.items() if k not in ("low", "high")}
                flat |= flatten(measured, f"{path}/{row['low']}-{row['high']}/")
        elif value is not None:
            flat[path] = value
    return flat
