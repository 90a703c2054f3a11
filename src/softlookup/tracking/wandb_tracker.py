"""Log a run to W&B. The only file that imports wandb; no failure in it stops a run.

The truth is the run's own files. A mirror may be lost, is then said to be lost, and can be made again from the truth.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from softlookup.errors import UserError, nearest, typed
from softlookup.heatmaps.png import HeatMap, draw
from softlookup.tracking import wandb_files

MODES = ("offline", "online", "disabled")
REACH = 4.0  # seconds in which W&B's server must answer at the start
UPLOAD = 30.0  # seconds that a finished run waits for the rest of its upload
TAG_LENGTH = 64  # W&B refuses longer tags


class Tracker:
    """Sends one run to W&B: `start`, then `log`, then `finish` or `fail`. `disabled` does nothing and writes nothing.

    Files go to `wandb/` in the run folder. wandb writes nothing to the terminal and leaves no process behind. What
    goes wrong with it is one line in `messages`, with what to type to have it all in W&B after all; the run goes on.
    Raises UserError for a mode that does not exist.
    """

    def __init__(self, mode: str, project: str) -> None:
        if mode not in MODES:
            raise UserError(f"tracking.mode={mode}: {nearest(mode, MODES)}")
        self.mode = mode
        self.project = project
        self.messages: list[str] = []
        self._folder = Path()
        self._steps: list[int] = []
        self._run: Any = None

    def start(
        self,
        folder: Path,
        run_id: str,
        group: str,
        tags: Sequence[str],
        config: dict[str, Any],
        history: Sequence[Mapping[str, Any]] = (),
    ) -> str | None:
        """Begin the run: `group` is its experiment, `tags` its choices, `config` the resolved config.

        `history` are the records of a run that goes on, each with its `step`. They are written first and the files of
        earlier attempts are deleted, so that there is one file and it holds the whole run.
        `online` without a key, or with no answer in 4 seconds, becomes offline. Returns the message that says so, with
        the command that uploads the run later; None when all is as it was asked for.
        """
        if self.mode == "disabled":
            return None
        before = len(self.messages)
        self._folder = folder
        about = {
            "project": self.project,
            "dir": folder,
            "id": run_id,
            "name": run_id,
            "group": group,
            "tags": list(dict.fromkeys(tag[:TAG_LENGTH] for tag in tags)),
            "config": config,
        }
        self._safely("start", lambda: self._start(about))
        for record in history:
            self.log({name: value for name, value in record.items() if name != "step"}, record["step"])
        return self.messages[-1] if len(self.messages) > before else None

    def log(self, metrics: dict[str, float | int | None], step: int) -> None:
        """One point of every curve; what is None is absent."""
        known = {name: value for name, value in metrics.items() if value is not None}
        self._steps.append(step)

        def point() -> None:
            # The server has the steps before this one: a run's id is its content, so they are these very points.
            if step >= self._run.starting_step:
                self._run.log(known, step=step)

        self._safely("log", point)

    def finish(self, result: dict[str, Any], heat_maps: Sequence[HeatMap] = ()) -> None:
        """End a run that did its work, with its result row as summary and the heat maps as images."""

        def last() -> None:
            self._run.summary.update(flatten(result))
            if self._run.resumed:  # the server may hold why an earlier attempt ended
                self._run.summary["reason"] = None
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
            self._say(f"W&B tracking ended ({doing}: {_line(error)})")
            self._abandon()

    def _say(self, what: str) -> None:
        remedy = "upload it" if self.mode == "online" else "write W&B's files again"
        command = wandb_files.remedy(self._folder, self.mode)
        self.messages.append(f"{what}; the run's own files hold everything; to {remedy} when it is done: {command}")

    def _start(self, about: dict[str, Any]) -> None:
        # A variable that is set to nothing, as in `WANDB_MODE= make train`, is an error to wandb.
        for name in [name for name, value in os.environ.items() if name.startswith("WANDB_") and not value]:
            del os.environ[name]
        # Reports of wandb's own errors would go out to the network, offline too.
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        import wandb

        # Of a run that was online before, the server has a part, and `wandb sync` would send that part again.
        was_online = any(self._folder.glob("wandb/run-*"))

        # wandb replaces both when it starts its service; an uncaught error would then be printed twice.
        kept = sys.exit, sys.excepthook
        try:
            wandb.setup(_settings())
            reason = self._go_online(about) if self.mode == "online" else ""
            if self._run is None:
                self._run = wandb.init(mode="offline", settings=_settings(), **about)
        finally:
            sys.exit, sys.excepthook = kept
        written = Path(self._run.settings.sync_dir)
        for attempt in self._folder.glob("wandb/*run-*"):
            if attempt.name != written.name:
                shutil.rmtree(attempt, ignore_errors=True)
        if reason and was_online:
            self._say(f"W&B is offline for this run ({reason})")
        elif reason:
            command = f"wandb sync {typed(written)}"
            self.messages.append(f"W&B is offline for this run ({reason}); upload it later with: {command}")

    def _go_online(self, about: dict[str, Any]) -> str:
        """Start the run online, or go on with what the server has of it; returns why not."""
        import wandb

        if not wandb.login(prompt=False, verify=False):
            return "no API key; type: wandb login"
        try:
            self._run = wandb.init(mode="online", resume="allow", settings=_settings(), **about)
        except Exception as error:
            wandb.teardown(exit_code=1)
            return _line(error)
        return ""

    def _stop(self, exit_code: int) -> None:
        """End the run in W&B, and say so where its files are not whole: wandb itself does not tell."""
        import wandb

        run, log = self._run, Path(self._run.settings.sync_file)
        run.finish(exit_code=exit_code)
        self._run = None
        wandb.teardown(exit_code=exit_code)
        if not run.offline:
            with contextlib.suppress(OSError):
                wandb_files.set_uploaded(log)
        elif exit_code == 0 and not wandb_files.holds(log, self._steps):
            self._say("W&B's files of this run are not whole (a full disk, a limit, or they were deleted)")

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


def _image(heat_map: HeatMap) -> Any:
    import wandb
    from PIL import Image

    buffer = io.BytesIO()
    draw(heat_map, buffer)
    return wandb.Image(Image.open(buffer), caption=f"{' '.join(heat_map.source)} → {' '.join(heat_map.target)}")


def _line(error: Exception) -> str:
    """Return the first line of an error, which may have many."""
    return f"{type(error).__name__}: {error}".split("\n")[0][:200]


def flatten(result: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a result row as one level of names: metrics and cost keep theirs, buckets are by_length/LOW-HIGH/NAME,
    what is None is absent.

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
