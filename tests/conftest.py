"""Every test starts from the same random numbers, and writes into memory where there is room."""

import os
import shutil
import sys
from pathlib import Path

import pytest

# Ten thousand small files, each flushed or cut at once: a disk makes the processors wait for a third of the time.
_MEMORY = Path("/dev/shm")
_ROOM = 10**9


def pytest_configure() -> None:
    if os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ROOM:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))


@pytest.fixture(autouse=True)
def _seeded() -> None:
    # Tests of charts never import torch, which takes seconds.
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(1)


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two finished runs to use (tests/used_runs.py). A test that harms one takes a copy."""
    import used_runs

    return used_runs.make(tmp_path_factory.mktemp("runs"))
