"""One run in a process of its own, forked from a server that has the imports loaded.

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
from multiprocessing import connection, forkserver
from typing import Any

from softlookup.errors import UserError
from softlookup.record import RunFolder, State, state_of

_CONTEXT = multiprocessing.get_context("forkserver")
# Read once, when the libraries load. A run that asks for more torch threads sets them itself.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
_SERVER_IS_GONE = 255


def start_server(job: str) -> None:
    """Start the fork server, which imports the module of `job` (`package.module:function`), and do not wait for it."""
    os.environ.update(_ONE_THREAD)
    _CONTEXT.set_forkserver_preload([job.partition(":")[0]])
    # The server and what it forks inherit this: Ctrl-C is for the launcher, which then stops its workers.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        forkserver.ensure_running()
    finally:
        signal.signal(signal.SIGINT, before)


class Worker:
    """A run that was started: `job(config, folder)` in its own process. `sentinel` is ready when it has ended."""

    def __init__(self, job: str, config: dict[str, Any], folder: RunFolder) -> None:
        self.folder = folder
        self.started = time.monotonic()
        self._told, tell = _CONTEXT.Pipe(duplex=False)
        self._process = _CONTEXT.Process(target=_main, args=(job, config, folder, tell), name=folder.id)
        folder.reset()
        folder.write_config(config)
        folder.set_state("running")
        self._process.start()
        tell.close()
        self.sentinel = self._process.sentinel

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

    def conclude(self, stopped: bool = False) -> tuple[State, str | None]:
        """The state of the run that has ended, and why; both are written. `stopped`: it was ended on purpose."""
        self._process.join()
        code = self._process.exitcode
        if code == _SERVER_IS_GONE:
            self.end(signal.SIGKILL)  # it may have outlived the server
        told = self._message()
        if told is None and code == 0 and self.folder.finish():
            return "finished", None
        state, reason = told or _ending(code, stopped)
        self.folder.set_state(state, reason)
        return state, reason

    def _message(self) -> tuple[State, str] | None:
        try:
            return self._told.recv() if self._told.poll() else None
        except (EOFError, OSError):
            return None


def _ending(code: int | None, stopped: bool) -> tuple[State, str]:
    if stopped:
        return "preempted", "stopped by Ctrl-C"
    if code is not None and code < 0:
        names = {int(known): known.name for known in signal.Signals}  # real-time signals have none
        return "failed", f"killed by signal {-code} ({names.get(-code, 'without a name')})"
    return "failed", f"ended with exit code {code} without a result"


def _main(job: str, config: dict[str, Any], folder: RunFolder, tell: connection.Connection) -> None:
    """What happens in the process of a run."""
    os.setsid()
    threading.Thread(target=_end_with_launcher, daemon=True).start()
    with folder.log_path.open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    try:
        pkgutil.resolve_name(job)(config, folder)
    except Exception as error:
        if isinstance(error, UserError) and not config.get("debug"):
            print(f"error: {error}")
        else:
            traceback.print_exc()
        tell.send(state_of(error))
        sys.exit(1)


def _end_with_launcher() -> None:
    """No orphans: when the launching process is gone, however it went, this run and its children go too."""
    launcher = multiprocessing.parent_process()
    assert launcher is not None
    connection.wait([launcher.sentinel])
    os.killpg(0, signal.SIGKILL)
