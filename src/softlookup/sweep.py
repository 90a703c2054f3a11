"""Many runs, a few at a time, each in a process of its own. No torch, no Hydra."""

from __future__ import annotations

import os
import signal
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import connection
from typing import Any

from softlookup.board import Board, Ended
from softlookup.record import RunFolder
from softlookup.worker import Worker, start_server

JOB = "softlookup.run:execute"
_TICK = 0.5  # seconds between two looks at the runs, and the longest that Ctrl-C waits for an answer
_GRACE = 5.0  # seconds between asking a run to stop and ending it


def cores(threads: int) -> int:
    """How many runs of that many threads this process may run at a time."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, allowed // threads)


class Sweep:
    """Runs to be done: one for each different run among `configs`, those that are finished left out.

    `job` names a function of a config and a RunFolder that writes the result row of the run to the folder.
    `workers` is how many run at a time; None: one per core.
    """

    def __init__(self, configs: Sequence[dict[str, Any]], workers: int | None, job: str = JOB) -> None:
        jobs = {folder.path: (folder, config) for config in configs for folder in [RunFolder.of(config)]}
        self.job = job
        self.queue = deque(pair for pair in jobs.values() if pair[0].result() is None)
        self.workers = workers or cores(configs[0]["threads"])
        self.board = Board(len(jobs), len(jobs) - len(self.queue), self.workers)
        self.running: dict[int, Worker] = {}
        self.stopped = False

    def run(self) -> bool:
        """Do the runs and print what became of them; whether all of them are finished.

        A run that fails stops no other. Ctrl-C stops the sweep: runs under way become preempted, and
        KeyboardInterrupt is raised when they have ended. The same sweep, run again, does what is left.
        """
        for folder, config in self.queue:
            folder.write_config(config)
            folder.set_state("queued")
        if self.queue:
            start_server(self.job)
        with self._interruptible(), self.board:
            try:
                self._work()
            finally:
                self._stop()
        self.board.summary()
        if self.stopped:
            raise KeyboardInterrupt
        return all(ended.state == "finished" for ended in self.board.ended)

    def _work(self) -> None:
        while (self.queue or self.running) and not self.stopped:
            while self.queue and len(self.running) < self.workers and not self.stopped:
                folder, config = self.queue.popleft()
                self.board.start(folder, config)
                worker = Worker(self.job, config, folder)
                self.running[worker.sentinel] = worker
            for sentinel in connection.wait(list(self.running), timeout=_TICK):
                self._collect(sentinel)
            self.board.refresh()

    def _collect(self, sentinel: Any, stopped: bool = False) -> None:
        worker = self.running.pop(sentinel)
        state, reason = worker.conclude(stopped)
        self.board.end(Ended(worker.folder, state, reason, time.monotonic() - worker.started))

    def _stop(self) -> None:
        """End what still runs: asked first, then made to."""
        for worker in self.running.values():
            worker.end(signal.SIGTERM)
        deadline = time.monotonic() + _GRACE
        while self.running and time.monotonic() < deadline:
            for sentinel in connection.wait(list(self.running), timeout=_TICK):
                self._collect(sentinel, stopped=True)
        for worker in self.running.values():
            worker.end(signal.SIGKILL)
        for sentinel in list(self.running):
            self._collect(sentinel, stopped=True)

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Ctrl-C only sets `stopped`: an exception at any line could lose sight of a process just started."""

        def stop(number: int, frame: object) -> None:  # noqa: ARG001
            self.stopped = True

        before = signal.signal(signal.SIGINT, stop)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)
