"""Execute one run in a separate process, forked from a server that has the imports loaded.

Runs are isolated from each other: crashes, memory, random numbers, threads and output.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import pkgutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import connection, forkserver, util
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from softlookup.config.run_config import RunConfig
from softlookup.errors import Stopped, UserError
from softlookup.runs.run_folder import RunFolder
from softlookup.runs.run_state import State, state_of
from softlookup.system import lock, memory
from softlookup.system.entry_point import keep_talking
from softlookup.system.environment import GPUS
from softlookup.system.signals import Stop

CONTEXT = multiprocessing.get_context("forkserver")
_WITHOUT_SERVER = multiprocessing.get_context("spawn")
# The libraries read these once, at import. A run that needs more torch threads sets them itself.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
# What a run imports only when it needs it, and with W&B: one to two seconds, which the server spends once.
_LATE = ("sacremoses",)
_TRACKED = ("wandb", "wandb.sdk.launch.inputs.internal", "requests")
_SERVER_IS_GONE = 255
TICK = 0.5  # seconds; bounds the response time to signals
_DYING = 5.0  # seconds to wait for runs of a killed launcher to exit


def late_imports(config: RunConfig) -> tuple[str, ...]:
    """Return the modules that a run imports after its start."""
    return (*_LATE, *(() if config.tracking.get("mode") == "disabled" else _TRACKED))


def start_server(job: str, modules: Sequence[str] = ()) -> None:
    """Start the fork server, unless it is running, without waiting for it; it imports the module of `job`
    (`package.module:function`), and of `modules` those that are installed."""
    os.environ.update(ONE_THREAD)
    CONTEXT.set_forkserver_preload([job.partition(":")[0], *modules])
    # The server must not exit before the runs: it exits with the launcher, not on signals.
    with _ignore_signals(signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        forkserver.ensure_running()


@contextmanager
def _ignore_signals(*numbers: signal.Signals) -> Iterator[None]:
    """Make processes started within the block ignore signals: those to the process group are for the launcher, which
    stops its runs."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Worker:
    """A run in a separate process, started by the constructor: `job(config, folder, stop)`. `sentinel` becomes ready
    when the process ends. The process sees only these `gpus`, or all of the machine's if none are given.

    Raises UserError where another process holds the folder, and OSError where the folder cannot be written.
    """

    def __init__(self, job: str, config: RunConfig, folder: RunFolder, gpus: Sequence[str] = ()) -> None:
        self.folder = folder
        self.gpus = gpus
        self.started = time.monotonic()
        self.peak = 0
        self._limit = config.settings.memory
        self._kills = memory.kernel_kills()
        self._receiver, sender = CONTEXT.Pipe(duplex=False)
        _wait_until_free(folder)
        folder.begin(config)
        folder.set_state("running")
        self._process = started(_main, job, config, folder, gpus, sender, modules=late_imports(config))
        sender.close()
        self.sentinel = self._process.sentinel

    def watch(self) -> None:
        """Update the peak memory of the process, which cannot be read after it has ended."""
        self.peak = max(self.peak, memory.peak(self._process.pid or 0))

    def end(self, number: signal.Signals) -> None:
        """Send a signal to the process and all its children."""
        assert self._process.pid, "0 would be the launcher's own group"
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:  # it has no process group yet, or has ended
            if number == signal.SIGKILL:
                self._process.kill()
            else:
                self._process.terminate()

    def conclude(self, stopped: int | None = None) -> tuple[State, str | None]:
        """Determine state and reason of the ended run, write them to its folder if possible, and return them.

        `stopped` is the signal that stopped the sweep, if any.
        """
        self._process.join()
        code = self._process.exitcode
        if code == _SERVER_IS_GONE and self._runs():  # without the server the exit code cannot be known
            self.end(signal.SIGKILL)
            code = None
        message = self._message()
        try:
            if message is None and code == 0 and self.folder.finish():
                return "finished", None
            state, reason = message or self._ending(code, stopped)
            if stopped is not None and state == "preempted":  # runs get SIGTERM: report the signal that the sweep got
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
        """Derive state and reason of a run that sent no message from its exit code; None: unknown."""
        if stopped is not None:
            return "preempted", str(Stopped(stopped))
        if code is None:
            return "preempted", "the server process that starts the runs was killed"
        if code == -signal.SIGKILL and memory.kernel_kills() > self._kills:
            limit_and_peak = memory.describe(self._limit, self.peak)
            return "out_of_memory", f"killed by the kernel for lack of memory; {limit_and_peak}"
        if -code in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            return "preempted", str(Stopped(-code))
        if code < 0:
            names = {int(known): known.name for known in signal.Signals}  # real-time signals have none
            return "failed", f"killed by signal {-code} ({names.get(-code, 'without a name')})"
        return "failed", f"ended with exit code {code} without a result"

    def _message(self) -> tuple[State, str] | None:
        try:
            return self._receiver.recv() if self._receiver.poll() else None
        except (EOFError, OSError):
            return None


def started(target: Callable[..., None], job: str, *arguments: Any, modules: Sequence[str] = ()) -> BaseProcess:
    """Start `target(job, *arguments)` in a process forked from the server, or spawned if the server cannot be
    reached."""
    forked = CONTEXT.Process(target=target, args=(job, *arguments))
    try:
        start_server(job, modules)  # restarts it if it was killed
        forked.start()
    except (FileNotFoundError, ConnectionError, EOFError):
        # The server was killed, or the temporary folder with its socket was deleted. Python expects the folder at exit.
        Path(util.get_temp_dir()).mkdir(exist_ok=True)
    else:
        return forked
    alone = _WITHOUT_SERVER.Process(target=target, args=(job, *arguments))
    with _ignore_signals(signal.SIGINT):
        alone.start()
    return alone


def _wait_until_free(folder: RunFolder) -> None:
    deadline = time.monotonic() + _DYING
    while (found := lock.holder(folder.path)) is not None:
        if time.monotonic() > deadline:
            raise UserError(f"it is run by {found}")
        time.sleep(0.05)


def _main(job: str, config: RunConfig, folder: RunFolder, gpus: Sequence[str], sender: connection.Connection) -> None:
    """Execute the job; the main function of a run's process."""
    leave()
    if gpus:
        os.environ[GPUS] = ",".join(gpus)
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
        sender.send(state_of(error, config.settings.memory))
        sys.exit(128 + error.number if isinstance(error, Stopped) else 1)


def leave() -> None:
    """Detach this process from the terminal and its signals, and make it end with the launcher."""
    gc.freeze()  # what the server imported stays: every full collection would visit its half a million objects again
    os.setsid()
    for number in (signal.SIGTERM, signal.SIGHUP):  # ignored by the server, and so inherited
        signal.signal(number, signal.SIG_DFL)
    threading.Thread(target=_end_with_launcher, daemon=True).start()


def talk_to(folder: RunFolder) -> None:
    """Redirect the output of this process to the run's log."""
    with folder.log_path.open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    keep_talking(encoding="utf-8")


def _end_with_launcher() -> None:
    """Kill this run and its children when the launcher has ended for any reason."""
    launcher = multiprocessing.parent_process()
    assert launcher is not None
    connection.wait([launcher.sentinel])
    os.killpg(0, signal.SIGKILL)
