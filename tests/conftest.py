"""Every test starts from the same random numbers."""

import sys
from pathlib import Path

import pytest


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
