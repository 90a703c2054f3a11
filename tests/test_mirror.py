"""Completeness check of W&B files, on a real file and on every kind of damage."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from wandb_server import clean_environment

from softlookup.tracking import wandb_files

# More than one block of the file format, so that records are split over blocks.
STEPS = list(range(3, 600, 3))
SCRIPT = f"""
import sys
from pathlib import Path
from softlookup.tracking.wandb_tracker import Tracker
tracker = Tracker("offline", "softlookup")
tracker.start(Path(sys.argv[1]), "additive-s1-abc", "bottleneck", [], {{}})
for step in {STEPS}:
    tracker.log({{"train/loss": step / 7}}, step)
tracker.END
assert tracker.messages == []
"""


def written(folder: Path, ends: str) -> Path:
    folder.mkdir()
    command = [sys.executable, "-c", SCRIPT.replace("END", ends), folder]
    subprocess.run(command, env=clean_environment(folder), check=True, timeout=60)
    (log,) = wandb_files.logs(folder)
    return log


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return written(tmp_path_factory.mktemp("mirror") / "run", "finish({})").read_bytes()


def test_a_complete_file_has_exactly_its_steps(complete: bytes, tmp_path: Path) -> None:
    log = tmp_path / "run-x.wandb"
    log.write_bytes(complete)
    assert len(complete) > 2**15
    assert wandb_files.holds(log, STEPS)
    for others in ([], STEPS[:-1], STEPS[1:], [*STEPS, 600], [*STEPS[:-1], 1], STEPS[::-1]):
        assert not wandb_files.holds(log, others)


def test_a_truncated_file_is_incomplete(complete: bytes, tmp_path: Path) -> None:
    log = tmp_path / "run-x.wandb"
    for size in [*range(0, len(complete), 1501), *range(len(complete) - 40, len(complete))]:
        log.write_bytes(complete[:size])
        assert not wandb_files.holds(log, STEPS), size


def test_a_file_with_one_wrong_bit_is_incomplete(complete: bytes, tmp_path: Path) -> None:
    log = tmp_path / "run-x.wandb"
    for place in range(0, len(complete), 997):
        damaged = bytearray(complete)
        damaged[place] ^= 1 << place % 8
        log.write_bytes(damaged)
        assert not wandb_files.holds(log, STEPS), place


def test_other_content_is_incomplete(tmp_path: Path) -> None:
    log = tmp_path / "run-x.wandb"
    assert not wandb_files.holds(log, [])
    for content in (b"", b"something else", b":W&B\xe1\xbe\x00"):
        log.write_bytes(content)
        assert not wandb_files.holds(log, [])


def test_the_file_of_a_failed_run_is_incomplete(tmp_path: Path) -> None:
    assert not wandb_files.holds(written(tmp_path / "run", "fail('the loss is nan')"), STEPS)


def test_the_remedy_is_a_correctly_quoted_shell_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert wandb_files.remedy(Path("runs/tried/additive-s1"), "offline") == 'make resync ARGS="experiment=tried"'
    typed = wandb_files.remedy(tmp_path / "my runs" / "tried" / "additive-s1", "online")
    make, target, arguments = shlex.split(typed)
    assert (make, target) == ("make", "resync")
    # make passes ARGS to a shell unchanged.
    words = shlex.split(arguments.removeprefix("ARGS="))
    assert words == [f"runs_dir={tmp_path / 'my runs'}", "experiment=tried", "mode=online"]
