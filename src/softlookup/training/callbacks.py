"""Define Lightning callbacks: progress display and signal handling."""

import sys
import time
from typing import Any

import pytorch_lightning as pl
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from softlookup.system.signals import Stop
from softlookup.training.module import Training


class Signals(pl.Callback):
    """Reinstall the project's signal handlers over Lightning's, whose SIGTERM handler would start a collective
    operation between the processes of a run at an arbitrary moment, and hang."""

    def __init__(self, stop: Stop) -> None:
        self.stop = stop

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        self.stop.listen()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        self.stop.listen()


class Progress(pl.Callback):
    """Show a bar with loss, length limit and time left on a terminal; print a line per tenth of the budget
    elsewhere."""

    def __init__(self) -> None:
        self.bar: Bar | None = None
        self.tenths = 0
        self.began = time.perf_counter()
        self.share = 0.0  # of the budget spent at the start of this attempt

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        assert isinstance(pl_module, Training)
        self.began, self.share = time.perf_counter(), pl_module.progress_share
        self.tenths = int(10 * self.share)
        if sys.stdout.isatty():
            self.bar = Bar(
                TextColumn("training"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f}%  {task.fields[state]}"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
            )
            self.bar.add_task("training", total=1.0, state="")
            self.bar.start()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,  # noqa: ARG002
        pl_module: pl.LightningModule,
        outputs: Any,  # noqa: ARG002
        batch: Any,  # noqa: ARG002
        batch_idx: int,
    ) -> None:
        assert isinstance(pl_module, Training)
        share = pl_module.progress_share
        if batch_idx % 10 and share < 1:
            return
        state = f"loss {pl_module.last_loss:.3f}  length ≤ {pl_module.limit}"
        if self.bar is not None:
            self.bar.update(self.bar.task_ids[0], completed=share, state=state)
        elif int(10 * share) > self.tenths:
            self.tenths = int(10 * share)
            spent = time.perf_counter() - self.began
            print(
                f"{share:4.0%}  {state}  {spent:.0f} s, {spent * (1 - share) / (share - self.share):.0f} s left",
                flush=True,
            )

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        self._close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:  # noqa: ARG002
        self._close()

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None
