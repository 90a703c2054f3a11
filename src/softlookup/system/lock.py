"""Lock a folder for one process at a time; the lock ends with its process. No torch.

The kernel holds the lock (flock on `.lock`) and releases it when the process ends for any reason, so the lock also
shows whether the process is alive. The content of the file names the holder, for messages.
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
_PATIENCE = 1.0  # seconds to retry: `holder` takes the lock for microseconds


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, which is created if needed. Raises UserError that names the holder if it is locked."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / NAME, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        deadline = time.monotonic() + _PATIENCE
        while not _acquire(descriptor, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                raise UserError(f"{folder} is in use by {_name(descriptor)}; wait for it, or give experiment_name=NAME")
            time.sleep(0.02)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "since": now}).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def holder(folder: Path) -> str | None:
    """Return the holder of a folder's lock, as `process 1234 on HOST since TIME`; None if it is not locked."""
    try:
        descriptor = os.open(folder / NAME, os.O_RDONLY)
    except OSError:
        return None
    try:
        return None if _acquire(descriptor, fcntl.LOCK_SH) else _name(descriptor)
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _name(descriptor: int) -> str:
    try:
        known = json.loads(os.pread(descriptor, 4096, 0))
        return f"process {known['pid']} on {known['host']} since {known['since']}"
    except (ValueError, KeyError, TypeError):
        return "another process"
