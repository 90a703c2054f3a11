"""Faults of the machine: full or read-only disks, jumping clocks, exhausted memory, deleted folders.

A run reports each fault in one line, and once the cause is removed, the same call gives the same bits.
"""

import contextlib
import datetime
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import fake_jobs
import pytest
from configs import changed
from hydra.core.hydra_config import HydraConfig
from test_launcher import until
from test_resume import alone, attempt, config, outcome

from softlookup import run
from softlookup.config.resolve import explain
from softlookup.errors import UserError
from softlookup.runs import provenance, run_folder
from softlookup.runs.run_folder import RunFolder
from softlookup.sweep import scheduler
from softlookup.system import lock
from softlookup.training.fit import Fit

TRAIN = Path(__file__).parents[1] / "src" / "train.py"


@pytest.fixture(autouse=True)
def _forget_the_last_config():
    yield
    HydraConfig.instance().cfg = None


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        return outcome(attempt(config(tmp_path_factory.mktemp("undisturbed")), patch))


@contextlib.contextmanager
def mounted(folder: Path, size: str) -> Iterator[Path]:
    """Mount a small tmpfs; skip the test without root."""
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"no disk can be mounted here: {done.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def assert_intact(folder: RunFolder) -> None:
    """Assert that no file is partially written and no temporary file is left."""
    for path in folder.path.rglob("*.json"):
        json.loads(path.read_text())
    assert not [path for path in folder.path.rglob(".*") if path.name != lock.NAME]


def test_a_full_disk_is_reported_and_the_same_call_finishes_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expected: dict[str, Any]
) -> None:
    with mounted(tmp_path / "disk", "3m") as disk:
        resolved = changed(config(disk), checkpoint_seconds=0)
        ballast = disk / "ballast"

        def fill(fit: Fit, number: int) -> None:  # noqa: ARG001
            if number == 9:
                with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
                    while True:
                        file.write(bytes(1000))

        with monkeypatch.context() as patched:
            ordinary, count = Fit._on_safe_point, iter(range(1000))
            patched.setattr(
                Fit, "_on_safe_point", lambda self, training: (fill(self, next(count)), ordinary(self, training))
            )
            with pytest.raises(OSError, match="No space left on device") as caught:
                run.supervise(resolved, RunFolder.of(resolved))
        folder = RunFolder.of(resolved)
        assert str(disk) in str(explain(caught.value))
        assert folder.status()[0] in ("failed", "preempted")
        assert_intact(folder)
        ballast.unlink()
        run.supervise(resolved, folder)
        assert outcome(folder) == expected


def test_a_file_size_limit_is_reported_and_the_same_call_finishes_the_run(
    tmp_path: Path, expected: dict[str, Any]
) -> None:
    resolved = changed(config(tmp_path), checkpoint_seconds=0)
    folder = RunFolder.of(resolved)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            run.supervise(resolved, folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert folder.state() == "failed"
    assert folder.reason().endswith(".pt: File too large")
    assert_intact(folder)
    run.supervise(resolved, folder)
    assert outcome(folder) == expected


def test_output_that_cannot_be_written_is_reported_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mounted(tmp_path / "disk", "1m") as disk:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        resolved = config(disk)
        monkeypatch.setattr(run, "execute", pytest.fail)
        with pytest.raises(OSError, match="Read-only") as caught:
            run.start(resolved)
        assert f"{disk}" in str(explain(caught.value))
        assert "runs_dir=DIR" in str(explain(caught.value))


def test_a_sweep_whose_disk_fills_up_marks_its_runs_failed_and_ends_normally(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    with mounted(tmp_path / "disk", "1m") as disk:
        configs = [fake_jobs.config(disk, fake_jobs.FILLS, budget=budget) for budget in (7, 11)]
        assert not scheduler.Sweep(configs, workers=1, job="fake_jobs:act").run()
        assert capsys.readouterr().out.count("No space left on device") >= 2
        assert_intact(RunFolder.of(configs[0]))
        with pytest.raises(OSError, match="No space left on device"):  # reported before any run is started
            scheduler.Sweep([fake_jobs.config(disk, fake_jobs.DONE)], workers=1, job="fake_jobs:act").run()
        (disk / "tried" / "ballast").unlink()
        (disk / "tried" / fake_jobs.LATER).touch()
        assert scheduler.Sweep(configs, workers=2, job="fake_jobs:act").run()


def test_a_clock_that_jumps_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expected: dict[str, Any]
) -> None:
    """Every reading of the clock jumps up to decades, forwards or backwards; the run is stopped and resumed once."""
    chance = random.Random(7)

    def jumping(*_: Any) -> float:
        return chance.uniform(0, 4e9)

    class Jumping(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:
            return datetime.datetime.fromtimestamp(jumping(), tz)

    with monkeypatch.context() as patched:
        patched.setattr(time, "time", jumping)
        patched.setattr(time, "time_ns", lambda: int(1e9 * jumping()))
        for module in (run_folder, lock, provenance):
            patched.setattr(module, "datetime", Jumping)
        resolved = changed(config(tmp_path), checkpoint_seconds=0)

        def stop(fit: Fit, number: int) -> None:
            if number == 14:
                fit.stop.number = 15

        with pytest.raises(BaseException, match="stopped by SIGTERM"):
            attempt(resolved, patched, stop)
        folder = attempt(resolved, patched, alone)
        assert folder.status() == ("finished", None)
    assert outcome(folder) == expected


def test_a_folder_that_is_deleted_during_a_run_is_detected_and_the_run_restarts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expected: dict[str, Any]
) -> None:
    resolved = changed(config(tmp_path), checkpoint_seconds=0)
    folder = RunFolder.of(resolved)
    for when in (3, 30):  # before a checkpoint, and after the last validation

        def delete(fit: Fit, number: int, when: int = when) -> None:
            if number == when:
                fit.settings = replace(fit.settings, checkpoint_seconds=1000)
                shutil.rmtree(folder.path)

        with pytest.raises((OSError, RuntimeError), match=r"deleted|No such file"):
            attempt(resolved, monkeypatch, delete)
        assert folder.result() is None
    attempt(resolved, monkeypatch, alone)
    assert outcome(folder) == expected


def test_a_job_whose_folder_is_deleted_fails_without_stopping_others(tmp_path: Path) -> None:
    configs = [fake_jobs.config(tmp_path, seed) for seed in (fake_jobs.VANISHES, fake_jobs.DONE)]
    assert not scheduler.Sweep(configs, workers=2, job="fake_jobs:act").run()
    deleted, done = (RunFolder.of(resolved) for resolved in configs)
    assert deleted.state() == "failed"
    assert "No such file or directory" in deleted.reason()
    assert done.state() == "finished"


def test_a_job_above_its_memory_limit_is_out_of_memory(tmp_path: Path) -> None:
    resolved = fake_jobs.config(tmp_path, fake_jobs.GREEDY, memory=4001)
    assert not scheduler.Sweep([resolved], workers=1, job="fake_jobs:act").run()
    folder = RunFolder.of(resolved)
    assert folder.state() == "out_of_memory"
    assert "limit memory=4001 MB, peak" in folder.reason()


def test_a_failed_allocation_in_torch_is_out_of_memory() -> None:
    code = """
import sys, torch
from softlookup.system.memory import limited
from softlookup.runs.run_state import state_of
try:
    with limited(700):
        torch.ones(10**9)
except BaseException as error:
    print(*state_of(error, 700))
print(torch.ones(3).sum().item())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    message, after = done.stdout.splitlines()
    assert message.startswith("out_of_memory RuntimeError: ")
    assert "limit memory=700 MB, peak" in message
    assert after == "3.0"


def test_a_job_killed_by_the_kernel_for_memory_is_out_of_memory(tmp_path: Path) -> None:
    group = next(Path(root) for root in ("/sys/fs/cgroup/memory", "/sys/fs/cgroup") if Path(root).is_dir()) / "tried"
    limits = [group / name for name in ("memory.limit_in_bytes", "memory.max")]
    try:
        group.mkdir()
        next(file for file in limits if file.exists()).write_text("100000000")
    except (OSError, StopIteration) as error:
        with contextlib.suppress(OSError):
            group.rmdir()
        pytest.skip(f"no control group with a memory limit can be made here: {error}")
    try:
        resolved = fake_jobs.config(tmp_path, fake_jobs.GROWS, {"group": {"_target_": "none", "path": str(group)}})
        assert not scheduler.Sweep([resolved], workers=1, job="fake_jobs:act").run()
    finally:
        until(lambda: not (group / "cgroup.procs").read_text(), seconds=5)
        group.rmdir()
    folder = RunFolder.of(resolved)
    assert folder.state() == "out_of_memory"
    message, peak = folder.reason().rsplit(" peak ", 1)
    assert message.startswith("killed by the kernel for lack of memory; limit ")
    assert int(peak.removesuffix(" MB").replace(",", "")) > 50


def test_two_sweeps_of_one_run_at_once_do_not_interfere(tmp_path: Path) -> None:
    """The folder of a run locked by another process is left unchanged, and the run is reported as not done."""
    resolved = fake_jobs.config(tmp_path, fake_jobs.DONE)
    folder = RunFolder.of(resolved)
    folder.path.mkdir(parents=True)
    (folder.path / "metrics.jsonl").write_text("of another")
    jobs = scheduler.Sweep([resolved], workers=1, job="fake_jobs:act")
    with pytest.MonkeyPatch.context() as patch, lock.hold(folder.path):
        patch.setattr("softlookup.sweep.worker._DYING", 0.2)
        assert not jobs.run()
    assert (folder.path / "metrics.jsonl").read_text() == "of another"
    assert f"it is run by process {os.getpid()}" in jobs.board.ended[0].reason
    with lock.hold(folder.path), pytest.raises(UserError, match="is in use by process"):
        run.supervise(changed(config(tmp_path), runs_dir=str(tmp_path), experiment_name="x"), folder)


def test_a_run_stopped_by_a_signal_resumes_to_the_same_result(tmp_path: Path) -> None:
    """From the command line: one run undisturbed, one stopped by each signal and called again."""
    typed = [
        "task.longest=5", "encoder.width=7", "encoder.dropout=0.2", "decoder.width=14", "attention.score.width=5",
        "budget=4007", "batch_tokens=61", "validations=5", "tracking=disabled", "device=cpu",
    ]  # fmt: skip

    def call(place: Path) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, str(TRAIN), *typed, f"runs_dir={place}"],
            env={**os.environ, "OMP_NUM_THREADS": "1"}, text=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            # Shells set SIGINT to ignored for background jobs, and child processes inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        )  # fmt: skip

    def tokens() -> int:
        return max(
            (RunFolder(path).last_record().get("tokens", 0) for path in (tmp_path / "two").glob("*/*")), default=0
        )

    one = call(tmp_path / "one")
    for number, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        before = tokens()
        two = call(tmp_path / "two")
        assert until(lambda: tokens() > before, seconds=120)  # noqa: B023
        two.send_signal(number)
        _, errors = two.communicate(timeout=60)
        assert two.returncode == code
        assert errors.strip().splitlines()[-1] == "stopped; the same command continues from here"
        (state,) = (tmp_path / "two").glob("*/*/state.json")
        assert json.loads(state.read_text())["state"] == "preempted"
        assert list(state.parent.glob("checkpoints/step-*.pt"))
    again = call(tmp_path / "two")
    for process in (again, one):
        process.communicate(timeout=120)
        assert process.returncode == 0
    folders = [RunFolder(next((tmp_path / name).glob("*/*"))) for name in ("one", "two")]
    assert outcome(folders[0]) == outcome(folders[1])


FREED = """
import platform, resource
from softlookup.system import memory
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for megabytes in range(8, 18):
        b"x" * (megabytes * 1_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
by_default = faults()
memory.keep_freed()
b"x" * 20_000_000
print(platform.libc_ver()[0], by_default, faults())
"""


def test_memory_that_was_freed_is_used_again_without_asking_the_kernel() -> None:
    """Blocks of 8 to 17 MB: without the setting the pages of each come from the kernel, as each is the largest yet."""
    done = subprocess.run([sys.executable, "-c", FREED], capture_output=True, text=True, check=True)
    library, by_default, kept = done.stdout.split()
    if library != "glibc":
        pytest.skip("only glibc has the setting")
    assert int(by_default) > 100_000_000 // resource.getpagesize()
    assert int(kept) < 100
