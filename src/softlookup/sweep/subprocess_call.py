"""Call a function in a separate process, forked from the fork server of the runs. No torch."""

from __future__ import annotations

import os
import pkgutil
import sys
from collections.abc import Generator
from contextlib import suppress
from multiprocessing import connection
from typing import Any

from softlookup.errors import UserError
from softlookup.runs.run_state import state_of
from softlookup.sweep.worker import CONTEXT, TICK, leave, started


def called(job: str, *arguments: Any) -> Generator[Any]:
    """Call the function named by `job` in a separate process, and yield the messages that it sends.

    It is called with `arguments` and a function that sends a message. The process is killed when this generator is
    closed. Raises UserError where the function raises or its process dies.
    """
    receiver, sender = CONTEXT.Pipe(duplex=False)
    process = started(_call, job, arguments, sender)
    sender.close()
    reason = None
    try:
        with suppress(EOFError):
            while True:
                while not receiver.poll(TICK):  # wake up regularly: a signal may have arrived in another thread
                    pass
                kind, content = receiver.recv()
                if kind == "message":
                    yield content
                else:
                    reason = content
        process.join()
    finally:
        process.kill()
        process.join()
    if reason or process.exitcode:
        raise UserError(reason or f"its process ended with exit code {process.exitcode}")


def _call(job: str, arguments: tuple[Any, ...], sender: connection.Connection) -> None:
    leave()
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    try:
        pkgutil.resolve_name(job)(*arguments, lambda content: sender.send(("message", content)))
    except Exception as error:
        sender.send(("failed", state_of(error)[1]))
        sys.exit(1)
