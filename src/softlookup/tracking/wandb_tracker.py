"""Log a run to W&B. Failures in it never stop a run.

W&B holds a copy of the run's own files. If the copy is lost, this is reported, and it can be made again from the files.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from softlookup.errors import UserError, nearest, shell_quote
from softlookup.group import Group
from softlookup.heatmaps.heat_map import HeatMap
from softlookup.tracking import wandb_files, wandb_values

MODES = ("offline", "online", "disabled")
REACH = 4.0  # timeout in seconds for W&B's server at the start
UPLOAD = 30.0  # timeout in seconds for the upload at the end of a run
TAG_LENGTH = 64  # W&B refuses longer tags
JOB_TYPE = "train"  # of all runs, whatever starts them: make sweep, a single command, or an agent of W&B
STEP = "tokens"  # the x-axis of all curves: budgets are target tokens, and steps of two runs may differ in size


class Tracker:
    """W&B tracker of one run: call `start`, then `log`, then `finish` or `fail`. Mode `disabled` does nothing.

    Files are written to `wandb/` in the run folder. wandb prints nothing and leaves no process running. On an error,
    tracking ends, `messages` gets one line with the command that completes the copy in W&B later, and the run
    continues. With `system_metrics`, wandb also samples processor, memory and GPU every 15 seconds; off by default, as
    `make resync` would sample itself. Raises UserError for an unknown mode.
    """

    group: ClassVar[Group] = Group("tracking")

    def __init__(self, mode: str, project: str, system_metrics: bool = False) -> None:
        if mode not in MODES:
            raise UserError(f"tracking.mode={mode}: {nearest(mode, MODES)}")
        self.mode = mode
        self.project = project
        self.system_metrics = system_metrics
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
        values: Mapping[str, Any],
        history: Sequence[Mapping[str, Any]] = (),
    ) -> str | None:
        """Start the run: `group` is its experiment, `tags` its choices, `values` its resolved config.

        `history` are the metric records of a resumed run, each with its `step`. They are logged first, and the files of
        earlier attempts are deleted, so that one file holds the whole run. Mode `online` falls back to offline without
        an API key, or if the server does not answer within 4 seconds. Returns the message about the fallback or an
        error, with the command that uploads the run later; None on success.
        """
        if self.mode == "disabled":
            return None
        before = len(self.messages)
        self._folder = folder
        arguments = {
            "project": self.project,
            "dir": folder,
            "id": run_id,
            "name": run_id,
            "group": group,
            "job_type": JOB_TYPE,
            "tags": list(dict.fromkeys(tag[:TAG_LENGTH] for tag in tags)),
            "config": dict(values),
        }
        self._safely("start", lambda: self._start(arguments))
        for record in history:
            self.log({name: value for name, value in record.items() if name != "step"}, record["step"])
        return self.messages[-1] if len(self.messages) > before else None

    def log(self, metrics: dict[str, float | int | None], step: int) -> None:
        """Log metrics at a step; None values are omitted."""
        known = {name: value for name, value in metrics.items() if value is not None}
        self._steps.append(step)

        def point() -> None:
            # The server already has earlier steps, with equal values: the id of a run is derived from its config.
            if step >= self._run.starting_step:
                self._run.log(known, step=step)

        self._safely("log", point)

    def finish(self, result: dict[str, Any], heat_maps: Sequence[HeatMap] = ()) -> None:
        """End a successful run: measures of its result row as summary, quality by length as a table and line plots, and
        heat maps as images."""

        def last() -> None:
            self._run.summary.update(wandb_values.summary(result))
            if self._run.resumed:  # clear the reason of an earlier failed attempt on the server
                self._run.summary["reason"] = None
            media = wandb_values.length_plots(result, self._run) | wandb_values.images(heat_maps)
            if media:
                self._run.log(media)

        self._safely("finish", last)
        self._safely("finish", lambda: self._stop(0))

    def fail(self, reason: str) -> None:
        """End a failed run: mark it as failed, with the reason in its summary."""
        self._safely("fail", lambda: self._run.summary.update({"status": "failed", "reason": reason}))
        self._safely("fail", lambda: self._stop(1))

    def _safely(self, phase: str, action: Callable[[], object]) -> None:
        """Call `action` while tracking is active; the first error ends tracking with a message."""
        if self._run is None and phase != "start":
            return
        try:
            action()
        except Exception as error:
            self._report(f"W&B tracking ended ({phase}: {_line(error)})")
            self._abandon()

    def _report(self, problem: str) -> None:
        remedy = "upload it" if self.mode == "online" else "write W&B's files again"
        command = wandb_files.remedy(self._folder, self.mode)
        self.messages.append(f"{problem}; the run's own files hold everything; to {remedy} when it is done: {command}")

    def _start(self, arguments: dict[str, Any]) -> None:
        # wandb rejects empty variables, as in `WANDB_MODE= make train`.
        for name in [name for name, value in os.environ.items() if name.startswith("WANDB_") and not value]:
            del os.environ[name]
        # wandb would send reports of its own errors over the network, even in offline mode.
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        import wandb

        # The server has part of a run that was online before, and `wandb sync` would upload that part again.
        was_online = any(self._folder.glob("wandb/run-*"))

        # wandb replaces these when it starts its service; uncaught errors would then be printed twice.
        hooks = sys.exit, sys.excepthook
        try:
            wandb.setup(self._settings())
            reason = self._go_online(arguments) if self.mode == "online" else ""
            if self._run is None:
                self._run = wandb.init(mode="offline", settings=self._settings(), **arguments)
        finally:
            sys.exit, sys.excepthook = hooks
        self._run.define_metric(STEP, hidden=True)
        self._run.define_metric("*", step_metric=STEP, step_sync=False)  # every record has its own number of tokens
        written = Path(self._run.settings.sync_dir)
        for attempt in self._folder.glob("wandb/*run-*"):
            if attempt.name != written.name:
                shutil.rmtree(attempt, ignore_errors=True)
        if reason and was_online:
            self._report(f"W&B is offline for this run ({reason})")
        elif reason:
            command = f"wandb sync {shell_quote(written)}"
            self.messages.append(f"W&B is offline for this run ({reason}); upload it later with: {command}")

    def _settings(self) -> Any:
        """Return settings for no terminal output, no copies of code, and bounded waits.

        System metrics take another process of wandb, of 7 MB, which ends with the run; in a run of 10 seconds wandb's
        processes take 0.08 seconds of processor time with them, and 0.06 without.
        """
        import wandb

        return wandb.Settings(
            silent=True,
            console="off",
            init_timeout=REACH,
            finish_timeout=UPLOAD,
            finish_timeout_raises=True,
            disable_git=True,
            save_code=False,
            x_disable_stats=not self.system_metrics,
            x_disable_machine_info=not self.system_metrics,
            x_disable_meta=True,
            x_save_requirements=False,
        )

    def _go_online(self, arguments: dict[str, Any]) -> str:
        """Start or resume the run online; return the reason if that fails, otherwise ""."""
        import wandb

        if not wandb.login(prompt=False, verify=False):
            return "no API key; type: wandb login"
        try:
            self._run = wandb.init(mode="online", resume="allow", settings=self._settings(), **arguments)
        except Exception as error:
            wandb.teardown(exit_code=1)
            return _line(error)
        return ""

    def _stop(self, exit_code: int) -> None:
        """End the run in W&B, and report incomplete files, which wandb itself does not report."""
        import wandb

        run, log = self._run, Path(self._run.settings.sync_file)
        run.finish(exit_code=exit_code)
        self._run = None
        wandb.teardown(exit_code=exit_code)
        if not run.offline:
            with contextlib.suppress(OSError):
                wandb_files.set_uploaded(log)
        elif exit_code == 0 and not wandb_files.holds(log, self._steps):
            self._report("W&B's files of this run are not complete (a full disk, a limit, or they were deleted)")

    def _abandon(self) -> None:
        """Abandon the run and stop wandb's process, whatever state they are in."""
        self._run = None
        # A service that cannot be stopped has died already, or ends with this process.
        with contextlib.suppress(Exception):
            import wandb

            wandb.teardown(exit_code=1)


def _line(error: Exception) -> str:
    """Return the first line of an error."""
    return f"{type(error).__name__}: {error}".split("\n")[0][:200]
