"""Sweeps of fake jobs that finish, fail, vanish and hang, without training."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import fake_jobs
import pytest
from fake_jobs import CRASHES, DIVERGES, DONE, EXITS, KILLED, LATER, MISTAKE, RAISES, SLEEPS, STUBBORN

from softlookup.errors import UserError
from softlookup.runs.run_folder import RunFolder
from softlookup.sweep.devices import Devices
from softlookup.sweep.scheduler import Sweep
from softlookup.system.content_cache import SHARED

TRAIN = Path(__file__).parents[1] / "src" / "train.py"
ENDINGS = {
    RAISES: ("failed", "ValueError: two lines"),
    MISTAKE: ("failed", "heads=3 does not divide 128"),
    KILLED: ("failed", "killed by signal 9 (SIGKILL)"),
    EXITS: ("failed", "ended with exit code 0 without a result"),
    CRASHES: ("failed", "ended with exit code 3 without a result"),
    DIVERGES: ("diverged", "the loss is nan at step 7"),
}


def sweep(*configs: dict) -> bool:
    return Sweep(configs, workers=2, job="fake_jobs:act").run()


def test_each_run_ends_in_its_own_way_and_the_next_call_runs_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    configs = [fake_jobs.config(tmp_path, seed) for seed in (*ENDINGS, DONE)]
    folders = {config.settings.seed: RunFolder.of(config) for config in configs}
    assert not sweep(*configs)
    assert {seed: (folders[seed].state(), folders[seed].reason()) for seed in ENDINGS} == ENDINGS
    assert folders[DONE].state() == "finished"
    for seed, folder in folders.items():
        log = folder.log_path.read_text()
        assert {int(digit) for digit in re.findall(r"says (\d)", log)} == {seed}  # complete, and nothing of other runs
        assert len(re.findall("says", log)) == 2
        assert ("Traceback" in log) == (seed in (RAISES, DIVERGES))
    printed = capsys.readouterr().out
    for seed, (_, reason) in ENDINGS.items():
        assert f"{folders[seed].id}: {reason}" in printed
        assert str(folders[seed].log_path) in printed
    assert "says" not in printed

    (tmp_path / "tried" / LATER).touch()
    pids = {seed: (folder.path / "pid.txt").read_text() for seed, folder in folders.items()}
    assert sweep(*configs)
    assert {folder.state() for folder in folders.values()} == {"finished"}
    again = {seed for seed, folder in folders.items() if (folder.path / "pid.txt").read_text() != pids[seed]}
    assert again == set(ENDINGS)
    assert "1 finished before" in capsys.readouterr().out
    assert all(len(folder.metrics_path.read_text().splitlines()) == 1 for folder in folders.values())


def test_the_runs_of_a_sweep_have_a_folder_in_common_that_begins_empty_and_is_deleted(tmp_path: Path) -> None:
    left = tmp_path / "tried" / SHARED / "of a killed sweep"
    left.parent.mkdir(parents=True)
    left.touch()
    config = fake_jobs.config(tmp_path, RAISES)
    assert not sweep(config)
    assert (RunFolder.of(config).path / "shared.txt").read_text() == "[]"
    assert not left.parent.exists()


def test_a_run_requested_twice_runs_once(tmp_path: Path) -> None:
    jobs = Sweep([fake_jobs.config(tmp_path, DONE), fake_jobs.config(tmp_path, DONE, workers=5)], workers=None)
    assert len(jobs.queue) == 1


def test_finished_runs_start_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = fake_jobs.config(tmp_path, DONE)
    assert sweep(config)
    monkeypatch.setattr("softlookup.sweep.scheduler.start_server", pytest.fail)
    assert sweep(config)


def test_runs_at_a_time_see_different_gpus(tmp_path: Path) -> None:
    configs = [fake_jobs.config(tmp_path, seed, workers=None) for seed in (101, 102)]
    jobs = Sweep(configs, workers=None, job="fake_jobs:act", gpus=["3", "5"])
    assert jobs.workers == 2
    assert jobs.run()
    assert {(RunFolder.of(config).path / "gpus.txt").read_text() for config in configs} == {"3", "5"}


def test_places_on_gpus_are_taken_in_turn_and_given_back() -> None:
    devices = Devices(["a", "b", "c"], per_gpu=2, processes=1, threads=1)
    taken = [devices.take() for _ in range(devices.workers(None))]
    assert taken == [["a"], ["b"], ["c"], ["a"], ["b"], ["c"]]
    devices.give_back(["b"])
    assert devices.take() == ["b"]
    pairs = Devices(["a", "b", "c"], per_gpu=2, processes=2, threads=1)
    assert [pairs.take() for _ in range(pairs.room)] == [["a", "b"], ["c", "a"], ["b", "c"]]


def test_more_runs_than_the_gpus_have_places_are_refused() -> None:
    devices = Devices(["0", "1"], per_gpu=1, processes=1, threads=1)
    assert devices.workers(2) == 2
    with pytest.raises(UserError, match=r"workers=5: 2 GPUs .* set workers=2, or workers_per_gpu=3, .* 1/3 of a GPU"):
        devices.workers(5)
    assert Devices([], per_gpu=1, processes=1, threads=1).workers(5) == 5


def start_python(code: str, *arguments: str) -> subprocess.Popen:
    """Start a Python program that can import the fake jobs, in a separate session."""
    places = {"PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, **places},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


SWEEP = """
import json, signal, sys
from softlookup.config.run_config import RunConfig
from softlookup.sweep import scheduler as sweep
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup and the like have it ignored, and children inherit that
sweep._GRACE = 1.0
sweep.Sweep([RunConfig.of(one) for one in json.loads(sys.argv[1])], workers=2, job="fake_jobs:act").run()
"""


def until(happened: Callable[[], bool], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while not happened() and time.monotonic() < deadline:
        time.sleep(0.05)
    return happened()


def alive(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def hanging(tmp_path: Path) -> tuple[list[dict], list[RunFolder], Callable[[], list[int]]]:
    """Return configs, folders and process ids of two runs that hang and one that waits in the queue.

    One of the hanging runs ignores SIGTERM and has a child process.
    """
    configs = [fake_jobs.config(tmp_path, seed) for seed in (SLEEPS, STUBBORN, DONE)]
    folders = [RunFolder.of(config) for config in configs]
    files = [folders[0].path / "pid.txt", folders[1].path / "pid.txt", folders[1].path / "child.txt"]

    def pids() -> list[int]:
        return [int(file.read_text()) for file in files if file.exists() and file.read_text()]

    return configs, folders, pids


@pytest.mark.parametrize(
    ("number", "send"),
    [(signal.SIGINT, os.kill), (signal.SIGHUP, os.killpg), (signal.SIGTERM, os.killpg)],
    ids=["ctrl-c", "terminal gone", "time limit"],
)
def test_a_signal_ends_all_processes_and_the_next_call_resumes(
    tmp_path: Path, number: signal.Signals, send: Callable[[int, int], None]
) -> None:
    configs, folders, pids = hanging(tmp_path)
    launcher = start_python(SWEEP, json.dumps([config.plain() for config in configs]))
    assert until(lambda: len(pids()) == 3)
    send(launcher.pid, number)
    printed, _ = launcher.communicate(timeout=20)
    assert not any(alive(pid) for pid in pids())
    assert [folder.state() for folder in folders] == ["preempted", "preempted", "queued"]
    assert f"Stopped: stopped by {number.name}" in printed
    assert printed.count("preempted  additive") == 2
    assert {folder.reason() for folder in folders[:2]} == {f"stopped by {number.name}"}
    (tmp_path / "tried" / LATER).touch()
    assert sweep(*configs)


def test_no_run_outlives_its_launcher(tmp_path: Path) -> None:
    configs, _, pids = hanging(tmp_path)
    launcher = start_python(SWEEP, json.dumps([config.plain() for config in configs]))
    assert until(lambda: len(pids()) == 3)
    launcher.kill()
    launcher.wait()
    assert until(lambda: not any(alive(pid) for pid in pids()), seconds=5)
    launcher.stdout.close()
    (tmp_path / "tried" / LATER).touch()
    assert sweep(*configs)  # stale "running" states do not block the next sweep


def test_kill_9_of_one_run_is_reported_and_stops_no_other(tmp_path: Path) -> None:
    configs, folders, pids = hanging(tmp_path)
    launcher = start_python(SWEEP + "\nprint('all others done')", json.dumps([configs[0].plain(), configs[2].plain()]))
    assert until(lambda: len(pids()) == 1 and folders[2].state() == "finished")
    os.kill(pids()[0], signal.SIGKILL)
    printed, _ = launcher.communicate(timeout=20)
    assert (folders[0].state(), folders[0].reason()) == ENDINGS[KILLED]
    assert "all others done" in printed


def server_of(launcher: int) -> int | None:
    """Return the pid of the fork server of a launcher, or None if it has not started."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            command = stat.with_name("cmdline").read_bytes()
        except OSError:
            continue
        if parent == launcher and b"multiprocessing.forkserver" in command:
            return int(stat.parent.name)
    return None


def test_a_server_that_is_killed_while_it_starts_loses_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = fake_jobs.config(tmp_path, DONE)
    folder, imported = RunFolder.of(config), tmp_path / "imported.txt"
    monkeypatch.setenv("HELD_UNTIL", str(imported))  # a run forked after the imports would end with the server
    launcher = start_python(SWEEP.replace("fake_jobs", "held_jobs"), json.dumps([config.plain()]))
    assert until(lambda: server_of(launcher.pid) is not None and folder.state() == "running")
    server = server_of(launcher.pid)
    assert server
    os.kill(server, signal.SIGKILL)
    imported.touch()
    printed, _ = launcher.communicate(timeout=60)
    assert "Traceback" not in printed
    assert folder.state() == "finished", printed


def test_a_server_that_is_killed_during_runs_does_not_end_the_sweep(tmp_path: Path) -> None:
    configs, folders, pids = hanging(tmp_path)
    launcher = start_python(SWEEP, json.dumps([config.plain() for config in configs]))
    assert until(lambda: len(pids()) == 3)
    server = server_of(launcher.pid)
    assert server
    os.kill(server, signal.SIGKILL)
    printed, _ = launcher.communicate(timeout=60)
    assert "Traceback" not in printed
    assert folders[2].state() == "finished", printed
    reason = "the server process that starts the runs was killed"
    assert [(folder.state(), folder.reason()) for folder in folders[:2]] == [("preempted", reason)] * 2
    assert not any(alive(pid) for pid in pids())
    (tmp_path / "tried" / LATER).touch()
    assert sweep(*configs)


ENTRY = """
import runpy, sys
from functools import partial
from softlookup.config.run_config import RunConfig
from softlookup.sweep import scheduler as sweep
sweep.Sweep = partial(sweep.Sweep, job="fake_jobs:act")
program = sys.argv.pop(1)
runpy.run_path(program, run_name="__main__")
"""


CLEANED = """
import json, shutil, sys
from multiprocessing import util
from softlookup.config.run_config import RunConfig
from softlookup.sweep.scheduler import Sweep

class Cleaned(Sweep):
    def _collect(self, *arguments):
        super()._collect(*arguments)
        if len(self.board.ended) == 1:
            shutil.rmtree(util.get_temp_dir())

Cleaned([RunConfig.of(one) for one in json.loads(sys.argv[1])], workers=1, job="fake_jobs:act").run()
"""


def test_runs_start_when_the_temporary_folder_was_deleted_during_a_sweep(tmp_path: Path) -> None:
    configs = [fake_jobs.config(tmp_path, seed) for seed in (KILLED, DONE, EXITS)]
    printed, _ = start_python(CLEANED, json.dumps([config.plain() for config in configs])).communicate(timeout=60)
    assert [RunFolder.of(config).state() for config in configs] == ["failed", "finished", "failed"], printed
    assert RunFolder.of(configs[2]).reason() == ENDINGS[EXITS][1]
    assert "Traceback" not in printed


def entry(runs_dir: Path, *arguments: str) -> subprocess.Popen:
    """Start `python src/train.py -m` with the fake jobs."""
    return start_python(ENTRY, str(TRAIN), "-m", f"runs_dir={runs_dir}", "workers=2", *arguments)


def test_the_entry_point_plans_an_experiment_and_exits_with_1_for_a_failed_run(tmp_path: Path) -> None:
    launcher = entry(tmp_path, "experiment=curriculum", "curriculum=fixed,linear", f"seed={DONE},{RAISES}")
    printed, _ = launcher.communicate(timeout=60)
    assert launcher.returncode == 1, printed
    plan = json.loads((tmp_path / "curriculum" / "plan.json").read_text())
    folders = [RunFolder(tmp_path / "curriculum" / cell["id"]) for cell in plan["planned"]]
    assert [(cell["choices"]["curriculum"], cell["seed"]) for cell in plan["planned"]] == [
        ("fixed", DONE), ("fixed", RAISES), ("linear", DONE), ("linear", RAISES),
    ]  # fmt: skip
    assert [folder.state() for folder in folders] == ["finished", "failed", "finished", "failed"]
    assert "Traceback" not in printed
    assert f"dashboard  {tmp_path / 'dashboard.html'}" in printed
    assert (tmp_path / "dashboard.html").exists()


def test_the_entry_point_without_an_experiment_writes_no_plan_and_exits_with_130(tmp_path: Path) -> None:
    launcher = entry(tmp_path, "attention=additive,general", f"seed={DONE},{SLEEPS}")
    hangs = lambda: [path for path in tmp_path.glob(f"single/*-s{SLEEPS}-*/pid.txt") if path.read_text()]  # noqa: E731
    assert until(lambda: len(hangs()) == 2, seconds=60)
    os.killpg(launcher.pid, signal.SIGINT)
    printed, _ = launcher.communicate(timeout=20)
    assert launcher.returncode == 130, printed
    assert "Traceback" not in printed
    assert not any(alive(int(path.read_text())) for path in hangs())
    assert not (tmp_path / "single" / "plan.json").exists()


def test_a_broken_plan_of_another_experiment_does_not_change_the_exit_code(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "plan.json").write_text('{"planned": [')
    launcher = entry(tmp_path, "attention=additive", f"seed={DONE}")
    printed, _ = launcher.communicate(timeout=60)
    assert launcher.returncode == 0, printed
    assert "no report: " in printed
    assert f"{tmp_path / 'other' / 'plan.json'}" in printed


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_during_the_imports_is_reported_without_a_traceback(number: signal.Signals, code: int) -> None:
    process = subprocess.Popen(
        [sys.executable, str(TRAIN), "-m", "seed=1,2"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        # Shells set SIGINT to ignored for background jobs, and child processes inherit that.
        preexec_fn=lambda: [signal.signal(n, signal.SIG_DFL) for n in (signal.SIGINT, signal.SIGHUP)],  # noqa: PLW1509
    )  # fmt: skip
    time.sleep(0.7)
    process.send_signal(number)
    printed, _ = process.communicate(timeout=30)
    assert process.returncode == code
    assert printed == "stopped; the same command continues from here\n"
