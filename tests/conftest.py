"""Every test starts from the same random numbers."""

import sys

import pytest


@pytest.fixture(autouse=True)
def _seeded() -> None:
    # Tests of charts never import torch, which takes seconds.
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(1)
