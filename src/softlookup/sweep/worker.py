"""Run one run in a process of its own, forked from a server that has the imports loaded.

Nothing of a run reaches another: not its crash, its memory, its random numbers, its threads, nor what it prints.
"""

from __future__ import annotations

import multiprocessing
import os
import pkgutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import connection, forkserver, util
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from softlookup.config.run_config import RunConfig
from softlookup.errors import Stopped, UserError
from softlookup.runs.run_folder import RunFolder, State, state_of
from softlookup.system import lock, memory
from softlookup.system.entry_point import keep_talking
from softlookup.system.signals import Stop

CONTEXT = multiprocessing.get_context("forkserver")
_WITHOUT_SERVER = multiprocessing.get_context("spawn")
# Read once, when the libraries load. A run that asks for more torch threads sets them itself.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
_SERVER_IS_GONE = 255
TICK = 0.5  # the longest that a signal waits to be heard, in seconds
# A launcher that was killed takes its runs along, which needs a moment.
_LAST_BREATH = 5.0


def start_server(job: str) -> None:
    """Start the fork server, which imports the module of `job` (`package.module:function`), and do not wait for it.

    Where it runs, nothing happens.
    """
    os.environ.update(ONE_THREAD)
    CONTEXT.set_forkserver_preload([job.partition(":")[0]])
    # It goes when the launcher goes, never before the runs.
    with _ignore_signals(signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        forkserver.ensure_running()


@contextmanager
def _ignore_signals(*numbers: signal.Signals) -> Iterator[None]:
    """Ignore signals in what is started here: those to a whole group are for the launcher, which stops its runs."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Worker:
    """A run that was started: `job(config, folder, stop)` in its own process. `sentinel` is ready when it has ended.

    Raises UserError where another process works in the folder, and OSError where it cannot be written to.
    """

    def __init__(self, job: str, config: RunConfig, folder: RunFolder) -> None:
        self.folder = folder
        self.started = time.monotonic()
        self.peak = 0
        self._limit = config.settings.memory
        self._kills = memory.kernel_kills()
        self._told, tell = CONTEXT.Pipe(duplex=False)
        _wait_for_the_dying(folder)
        folder.begin(config)
        folder.set_state("running")
        self._process = started(_main, job, config, folder, tell)
        tell.close()
        self.sentinel = self._process.sentinel

    def watch(self) -> None:
        """Note how much memory it takes: nobody can ask a process that is gone."""
        self.peak = max(self.peak, memory.peak(self._process.pid or 0))

    def end(self, number: signal.Signals) -> None:
        """Send a signal to the process and to every process that it started."""
        assert self._process.pid, "0 would be the launcher's own group"
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:  # it has not come to have a group of its own, or has ended
            if number == signal.SIGKILL:
                self._process.kill()
            else:
                self._process.terminate()

    def conclude(self, stopped: int | None = None) -> tuple[State, str | None]:
        """Return the state of the run that has ended, and why; both are written, where that can be.

        `stopped`: the signal that ended the sweep, and it.
        """
        self._process.join()
        code = self._process.exitcode
        if code == _SERVER_IS_GONE and self._runs():  # with the server, whoever could say how it ends is gone
            self.end(signal.SIGKILL)
            code = None
        told = self._message()
        try:
            if told is None and code == 0 and self.folder.finish():
                return "finished", None
            state, reason = told or self._ending(code, stopped)
            if stopped is not None and state == "preempted":  # whatever was sent to the sweep, runs are sent SIGTERM
                reason = str(Stopped(stopped))
            self.folder.set_state(state, reason)
        except OSError as error:
            return "failed", f"its state could not be written: {error.filename}: {error.strerror}"
        return state, reason

    def _runs(self) -> bool:
        assert self._process.pid, "0 would be the launcher's own group"
        try:
            os.kill(self._process.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def _ending(self, code: int | None, stopped: int | None) -> tuple[State, str]:
        """Return what an end means of which the run itself has said nothing; `code` is None where nobody knows it."""
        if stopped is not None:
            return "preempted", str(Stopped(stopped))
        if code is None:
            return "preempted", "the process that all runs are started from was killed"
        if code == -signal.SIGKILL and memory.kernel_kills() > self._kills:
            told = memory.told(self._limit, self.peak)
            return "out_of_memory", f"killed by the kernel for want of memory; {told}"
        if -code in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            return "preempted", str(Stopped(-code))
        if code < 0:
            names = {int(known): known.name for known in signal.Signals}  # real-time signals have none
            return "failed", f"killed by signal {-code} ({names.get(-code, 'without a name')})"
        return "failed", f"ended with exit code {code} without a result"

    def _message(self) -> tuple[State, str] | None:
        try:
            return self._told.recv() if self._told.poll() else None
        except (EOFError, OSError):
            return None


def started(target: Callable[..., None], job: str, *arguments: Any) -> BaseProcess:
    """Start `target(job, *arguments)` in a process forked from the server, or without it where it is gone."""
    forked = CONTEXT.Process(target=target, args=(job, *arguments))
    try:
        start_server(job)  # again, as the first one was, where that was killed
        forked.start()
    except (FileNotFoundError, ConnectionError, EOFError):
        # Someone has killed the server, or cleaned the temporary folder, the server's socket with it. At the end Python
        # wants to remove it.
        Path(util.get_temp_dir()).mkdir(exist_ok=True)
    else:
        return forked
    alone = _WITHOUT_SERVER.Process(target=target, args=(job, *arguments))
    with _ignore_signals(signal.SIGINT):
        alone.start()
    return alone


def _wait_for_the_dying(folder: RunFolder) -> None:
    deadline = time.monotonic() + _LAST_BREATH
    while (found := lock.holder(folder.path)) is not None:
        if time.monotonic() > deadline:
            raise UserError(f"it is run by {found}")
        time.sleep(0.05)


def _main(job: str, config: RunConfig, folder: RunFolder, tell: connection.Connection) -> None:
    """Run the job in the process of a run."""
    leave()
    stop = Stop()
    try:
        talk_to(folder)
        with lock.hold(folder.path), stop.listening():
            pkgutil.resolve_name(job)(config, folder, stop)
    except (Exception, Stopped) as error:
        if isinstance(error, UserError | Stopped) and not config.settings.debug:
            print(f"error: {error}" if isinstance(error, UserError) else error)
        else:
            traceback.print_exc()
        tell.send(state_of(error, config.settings.memory))
        sys.exit(128 + error.number if isinstance(error, Stopped) else 1)


def leave() -> None:
    """Belong to the launcher alone: signals to its terminal are not for this process, and it ends with the launcher."""
    os.setsid()
    for number in (signal.SIGTERM, signal.SIGHUP):  # which the server ignores
        signal.signal(number, signal.SIG_DFL)
    threading.Thread(target=_end_with_launcher, daemon=True).start()


def talk_to(folder: RunFolder) -> None:
    """From here on what is printed goes to the run's own log."""
    with folder.log_path.open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    keep_talking(encoding="utf-8")


def _end_with_launcher() -> None:
    """No orphans: when the launching process is gone, however it went, this run and its children go too."""
    launcher = multiprocessing.parent_process()
    assert launcher is not None
    connection.wait([launcher.sentinel])
    os.killpg(0, signal.SIGKILL)
