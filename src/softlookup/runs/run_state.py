"""Name the states of a run, and the one that an exception leaves it in. No torch."""

from __future__ import annotations

from typing import Literal

from softlookup.errors import Stopped, UserError
from softlookup.system import memory

State = Literal["queued", "running", "finished", "failed", "diverged", "out_of_memory", "preempted"]

# How torch reports failed allocations, on CUDA and on the CPU (there as a plain RuntimeError).
_OUT_OF_MEMORY = ("OutOfMemoryError", "can't allocate memory", "not enough memory")


def state_of(error: BaseException, limit: int | None = None) -> tuple[State, str]:
    """Return the state of a run that ended with an exception, and the reason in one line; `limit` is its memory limit
    in MB."""
    message = " ".join(str(error).split())
    described = f"{type(error).__name__}: {message}" if message else type(error).__name__
    if isinstance(error, Stopped | KeyboardInterrupt):
        return "preempted", message or "stopped by Ctrl-C"
    if isinstance(error, FloatingPointError):
        return "diverged", message
    if isinstance(error, MemoryError) or any(word in f"{type(error).__name__} {message}" for word in _OUT_OF_MEMORY):
        return "out_of_memory", f"{described}; {memory.describe(limit)}"
    if isinstance(error, OSError) and error.filename is not None:
        return "failed", f"{error.filename}: {error.strerror}"
    return "failed", message if isinstance(error, UserError) else described
