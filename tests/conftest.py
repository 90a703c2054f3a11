"""Seed the random numbers of every test, and put temporary folders into memory if there is room."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from softlookup.config.catalog import CONF

# The tests flush or truncate ten thousand small files: on a disk a third of the time is spent waiting.
_MEMORY = Path("/dev/shm")
_ROOM = 10**9


def pytest_configure() -> None:
    if os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ROOM:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))


CHROMIUM_FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
CHROMIUM_FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]

# These take half a minute or more: if one of them started last, the other workers would wait for it.
LONGEST = (
    "test_a_sweep_under_kill_9_gives_the_same_tables",
    "test_a_signal_to_either_process_stops_both_and_resuming_gives_the_same_bits",
    "test_a_run_stopped_by_a_signal_resumes_to_the_same_result",
    "test_lost_mirrors_are_rebuilt_equal_to_undisturbed_ones",
    "test_a_folder_of_text_is_trained_on_and_evaluated",
    "test_a_run_continues_when_its_output_cannot_be_written",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Spread the longest tests evenly from the start: pytest-xdist distributes chunks of adjacent tests."""
    longest = [item for item in items if item.name in LONGEST]
    others = [item for item in items if item.name not in LONGEST]
    apart = len(others) // max(1, len(longest))
    items[:] = others
    for place, item in enumerate(sorted(longest, key=lambda item: LONGEST.index(item.name))):
        items.insert(place * (apart + 1), item)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    # Tests of charts do not import torch, which takes seconds.
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(1)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Start Chromium for the tests of a file; skip them where there is none. It ends before tests that fork."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium on PATH")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Train two runs (tests/used_runs.py). A test that modifies one must copy it."""
    import used_runs

    return used_runs.make(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy conf/, so that files can be added and changed."""
    copy = tmp_path / "conf"
    shutil.copytree(CONF, copy)
    for module in ("softlookup.config.catalog", "softlookup.config.resolve", "menu"):
        monkeypatch.setattr(f"{module}.CONF", copy)
    return copy
