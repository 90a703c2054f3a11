"""Set environment variables. No torch."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

GPUS = "CUDA_VISIBLE_DEVICES"  # the GPUs that a process may use, by number or UUID; CUDA reads it when it is first used


@contextmanager
def variable(name: str, value: str) -> Iterator[None]:
    """Set an environment variable within the block, then restore it."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
