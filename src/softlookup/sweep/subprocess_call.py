"""Call a function in a process of its own, forked from the server that runs are forked from. No torch."""

from __future__ import annotations

import os
import pkgutil
import sys
from collections.abc import Generator
from contextlib import suppress
from multiprocessing import connection
from typing import Any

from softlookup.errors import UserError
from softlookup.runs.run_folder import state_of
from softlookup.sweep.worker import CONTEXT, TICK, leave, started


def called(job: str, *arguments: Any) -> Generator[Any]:
    """Call the function that `job` names in a process of its own, which is no run, and yield what it tells.

    It is called with the arguments and a function that tells. The process ends with this generator, however that ends.
    Raises UserError where it ends otherwise than by returning.
    """
    told, tell = CONTEXT.Pipe(duplex=False)
    process = started(_call, job, arguments, tell)
    tell.close()
    reason = None
    try:
        with suppress(EOFError):
            while True:
                while not told.poll(TICK):  # a signal may have come to another thread
                    pass
                kind, content = told.recv()
                if kind == "told":
                    yield content
                else:
                    reason = content
        process.join()
    finally:
        process.kill()
        process.join()
    if reason or process.exitcode:
        raise UserError(reason or f"its process ended with exit code {process.exitcode}")


def _call(job: str, arguments: tuple[Any, ...], tell: connection.Connection) -> None:
    leave()
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    try:
        pkgutil.resolve_name(job)(*arguments, lambda content: tell.send(("told", content)))
    except Exception as error:
        tell.send(("failed", state_of(error)[1]))
        sys.exit(1)
