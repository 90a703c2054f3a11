"""Schedule the runs of a sweep, a few at a time, each in a separate process. No torch, no Hydra."""

from __future__ import annotations

import shutil
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import connection
from pathlib import Path
from typing import Any

from softlookup.config.run_config import RunConfig
from softlookup.errors import Stopped, UserError
from softlookup.runs.run_folder import RunFolder
from softlookup.runs.run_state import state_of
from softlookup.sweep.devices import Devices
from softlookup.sweep.progress_table import Board, Ended
from softlookup.sweep.worker import Worker, late_imports, start_server
from softlookup.system import lock
from softlookup.system.content_cache import SHARED

JOB = "softlookup.run:execute"
_TICK = 0.5  # seconds between polls of the runs; bounds the response time to Ctrl-C
_JUDGE = 60.0  # seconds between two readings of all results, which take up to a second
_GRACE = 10.0  # seconds between SIGTERM, after which a run writes a checkpoint, and SIGKILL


class Sweep:
    """Run all unfinished runs among `configs`; equal configs are one run.

    `job` names a function of a config, a RunFolder and a Stop that writes the result row of the run to the folder.
    `workers` is the number of concurrent runs; None: one per core, or `workers_per_gpu` on each of the `gpus`.
    `decided` returns which comparisons are decided; it reads all results, and is called at most once a minute. Raises
    UserError for more runs at a time than the GPUs have places.
    """

    def __init__(
        self,
        configs: Sequence[RunConfig],
        workers: int | None,
        job: str = JOB,
        decided: Callable[[], str] = lambda: "",
        gpus: Sequence[str] = (),
    ) -> None:
        jobs = {folder.path: (folder, config) for config in configs for folder in [RunFolder.of(config)]}
        unfinished = [folder for folder, _ in jobs.values() if folder.state() != "finished"]
        self.job = job
        self.queue = deque(pair for pair in jobs.values() if not pair[0].done())
        settings = configs[0].settings
        self.devices = Devices(gpus, settings.workers_per_gpu, settings.processes, settings.threads)
        self.workers = self.devices.workers(workers)
        self.board = Board(len(jobs), len(jobs) - len(self.queue), self.workers)
        self.running: dict[int, Worker] = {}
        self.stopped: int | None = None
        self.decided = decided
        self._judged = time.monotonic()
        # Runs that were killed after the result was written, but before W&B had it.
        self.recovered = sum(folder.state() == "finished" for folder in unfinished)

    def run(self) -> bool:
        """Execute the runs and print a summary; return whether all of them have finished.

        A failing run does not stop the others. SIGINT (Ctrl-C), SIGTERM and SIGHUP stop the sweep: running runs write a
        checkpoint and become preempted, and Stopped is raised when they have ended. Running the same sweep again
        continues it.
        """
        for folder, config in self.queue:
            # A run whose parent was killed still has state running; a locked folder belongs to another process.
            if folder.state() in (None, "running") and not lock.holder(folder.path):
                with suppress(NotADirectoryError, FileExistsError):  # reported when the run is started
                    folder.write_config(config)
                    folder.set_state("queued")
        if self.recovered:
            print(f"{self.recovered} had their result when they were killed; for their W&B files: make resync")
        if self.queue:
            start_server(self.job, late_imports(self.queue[0][1]))
        with self._interruptible(), self.board, _shared({folder.path.parent for folder, _ in self.queue}):
            try:
                self._work()
            finally:
                self._stop()
        self.board.summary()
        if self.stopped is not None:
            raise Stopped(self.stopped)
        return all(ended.state == "finished" for ended in self.board.ended)

    def _work(self) -> None:
        while (self.queue or self.running) and self.stopped is None:
            while self.queue and len(self.running) < self.workers and self.stopped is None:
                self._start(*self.queue.popleft())
            for sentinel in connection.wait(list(self.running), timeout=_TICK):
                self._collect(sentinel)
            for worker in self.running.values():
                worker.watch()
            if time.monotonic() - self._judged >= _JUDGE:
                self.board.set_decided(self.decided())
                self._judged = time.monotonic()
            self.board.refresh()

    def _start(self, folder: RunFolder, config: RunConfig) -> None:
        self.board.start(folder, config)
        gpus = self.devices.take()
        try:
            worker = Worker(self.job, config, folder, gpus)
        except (UserError, OSError) as error:
            self.devices.give_back(gpus)
            _, reason = state_of(error)
            self.board.end(Ended(folder, "failed", reason, 0.0))
        else:
            self.running[worker.sentinel] = worker

    def _collect(self, sentinel: Any, stopped: int | None = None) -> None:
        worker = self.running.pop(sentinel)
        self.devices.give_back(worker.gpus)
        state, reason = worker.conclude(stopped)
        self.board.end(Ended(worker.folder, state, reason, time.monotonic() - worker.started))

    def _stop(self) -> None:
        """Stop all running runs: SIGTERM first, then SIGKILL."""
        for worker in self.running.values():
            worker.end(signal.SIGTERM)
        deadline = time.monotonic() + _GRACE
        while self.running and time.monotonic() < deadline:
            for sentinel in connection.wait(list(self.running), timeout=_TICK):
                self._collect(sentinel, self.stopped)
        for worker in self.running.values():
            worker.end(signal.SIGKILL)
        for sentinel in list(self.running):
            self._collect(sentinel, self.stopped)

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Let signals only set `stopped`: an exception at an arbitrary line could lose track of a new process."""

        def stop(number: int, frame: object) -> None:  # noqa: ARG001
            self.stopped = number

        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        for number, handler in before.items():
            if handler is not signal.SIG_IGN or number != signal.SIGHUP:  # nohup ignores it
                signal.signal(number, stop)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def _shared(experiments: set[Path]) -> Iterator[None]:
    """Give each experiment a folder for what its runs share, new and empty, and delete it at the end.

    It is new because what a killed sweep left there may be of other code. Where it cannot be made, nothing is shared.
    """
    folders = [experiment / SHARED for experiment in experiments]
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            folder.mkdir(parents=True)
    try:
        yield
    finally:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
