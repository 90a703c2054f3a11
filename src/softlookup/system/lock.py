"""Lock a folder for one process at a time; the lock ends with its process. No torch.

A lock is the kernel's (flock on `.lock`), not a file that says so: when its process ends, however it ends, it is free.
So a lock is a heartbeat that needs no clock. The file holds who took it, for people.
"""

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from softlookup.errors import UserError

NAME = ".lock"
# Whoever only looks holds the lock for microseconds: a taker tries again.
_PATIENCE = 1.0


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, which is made if need be. Raises UserError with its holder where it is taken."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / NAME, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        deadline = time.monotonic() + _PATIENCE
        while not _taken(descriptor, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                raise UserError(f"{folder} is in use by {_told(descriptor)}; wait for it, or give experiment_name=NAME")
            time.sleep(0.02)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "since": now}).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def holder(folder: Path) -> str | None:
    """Return who holds the lock of a folder, as `process 1234 on HOST since TIME`; None where nobody does."""
    try:
        descriptor = os.open(folder / NAME, os.O_RDONLY)
    except OSError:
        return None
    try:
        return None if _taken(descriptor, fcntl.LOCK_SH) else _told(descriptor)
    finally:
        os.close(descriptor)


def _taken(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _told(descriptor: int) -> str:
    try:
        known = json.loads(os.pread(descriptor, 4096, 0))
        return f"process {known['pid']} on {known['host']} since {known['since']}"
    except (ValueError, KeyError, TypeError):
        return "another process"
