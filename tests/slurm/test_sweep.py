"""A sweep on a real Slurm whose jobs are stopped, killed and requeued, compared with an undisturbed sweep."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

import cluster
import pytest

from softlookup.system import lock

SOURCE = Path(__file__).parents[2] / "src"
VALIDATIONS = 6
# Six runs, half of them with dropout.
RUNS = [
    "experiment_name=tables", "attention=additive,general,fixed_mean", "encoder.dropout=0,0.2", "budget=100000",
    f"validations={VALIDATIONS}", "checkpoint_seconds=0.5", "tracking=disabled",
]  # fmt: skip
SLURM = ["hydra/launcher=submitit_slurm", "hydra.launcher.mem_gb=1"]
LONGEST = 1200  # seconds; two to five minutes are usual
TICK = 5  # seconds between two polls of the launcher
LAUNCHERS: list[subprocess.Popen] = []
DISTURBANCES = ("SIGTERM", "SIGKILL", "requeue", "SIGUSR2")


@pytest.fixture
def deadline() -> Iterator[None]:
    """Fail the test after LONGEST seconds, in case the cluster hangs."""

    def time_out(*_: object) -> None:
        raise TimeoutError(f"not done after {LONGEST} s")

    before = signal.signal(signal.SIGALRM, time_out)
    signal.alarm(LONGEST)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    reason = cluster.why_not()
    if reason:
        pytest.skip(reason)
    with cluster.running(tmp_path_factory.mktemp("slurm")) as environment:
        try:
            yield environment
        finally:
            for launcher in LAUNCHERS:
                if launcher.poll() is None:
                    launcher.kill()
                    launcher.communicate()


def sweep(runs_dir: Path, *arguments: str, environment: dict[str, str] | None = None) -> subprocess.Popen:
    """Start `python src/train.py -m` with the runs of this test."""
    command = [sys.executable, str(SOURCE / "train.py"), "-m", f"runs_dir={runs_dir}", *RUNS, *arguments]
    LAUNCHERS.append(
        subprocess.Popen(
            command, env=environment or {**os.environ}, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            # Shells set SIGINT to ignored for background jobs, and child processes inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        )
    )  # fmt: skip
    return LAUNCHERS[-1]


def training(runs_dir: Path, environment: dict[str, str]) -> dict[str, Path]:
    """Map the job numbers of runs that train, have a checkpoint and are not almost done to their run folders."""
    runs = runs_of(runs_dir)
    found = {number: runs[number] for number in jobs_in("RUNNING", environment) if number in runs}
    return {
        number: path for number, path in found.items() if list(path.glob("checkpoints/*.pt")) and far_from_done(path)
    }


def runs_of(runs_dir: Path) -> dict[str, Path]:
    """Map the number of each queued job to its run folder."""
    jobs_file = runs_dir / "tables" / ".submitit" / "jobs.json"
    queued = json.loads(jobs_file.read_text()) if jobs_file.exists() else {}
    return {number: Path(path) for number, path in queued.items()}


def squeue(environment: dict[str, str], *options: str) -> list[str]:
    command = ["squeue", "--noheader", "--array", *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()


def jobs_in(states: str, environment: dict[str, str]) -> list[str]:
    return [line.strip() for line in squeue(environment, f"--states={states}", "--format=%i")]


def requeued_runs(runs_dir: Path, environment: dict[str, str]) -> set[str]:
    """Return the runs whose jobs Slurm has requeued."""
    lines = squeue(environment, "--states=all", "--Format=ArrayJobID:12,ArrayTaskID:12,RestartCnt:12")
    runs = runs_of(runs_dir)
    return {runs[f"{array}_{task}"].name for array, task, times in map(str.split, lines) if int(times)}


def far_from_done(path: Path) -> bool:
    metrics = path / "metrics.jsonl"
    return not metrics.exists() or metrics.read_bytes().count(b"\n") <= VALIDATIONS - 2


def paused(runs_dir: Path, environment: dict[str, str], but: Collection[str] = ()) -> dict[str, Path]:
    """Pause the `training` jobs with SIGSTOP and return them: short runs would otherwise end before the disturbance."""
    stopped = {}
    for number, path in training(runs_dir, environment).items():
        if path.name not in but:
            send(signal.SIGSTOP, path)
            if far_from_done(path):
                stopped[number] = path
            else:
                send(signal.SIGCONT, path)
    return stopped


def send(number: signal.Signals, path: Path) -> None:
    """Send a signal to the process that holds the lock of a run, if there is one."""
    if lock.holder(path) is not None:
        with suppress(ProcessLookupError):
            os.kill(process_of(path), number)


def process_of(path: Path) -> int:
    return json.loads((path / lock.NAME).read_text())["pid"]


def has_pending_signal(path: Path) -> bool:
    """Return whether a signal is pending for the paused process of a run, or the process has ended."""
    try:
        status = Path(f"/proc/{process_of(path)}/status").read_text()
    except OSError:
        return True
    return any(int(pending, 16) for pending in re.findall(r"^S[ih][gd]Pnd:\s+(\w+)$", status, re.MULTILINE))


def disturb(launcher: subprocess.Popen, runs_dir: Path, held: list[str], environment: dict[str, str]) -> dict[str, str]:
    """Apply every disturbance, each to a different run while it trains; map the disturbances to their runs.

    Held jobs are released one at a time, when no other job is left.
    """
    hit: dict[str, str] = {}
    active = set(jobs_in("RUNNING", environment))
    while len(hit) < len(DISTURBANCES):
        assert launcher.poll() is None, f"{hit} {launcher.communicate()[0]}"
        for number, path in paused(runs_dir, environment, hit.values()).items():
            if len(hit) < len(DISTURBANCES):
                kind = DISTURBANCES[len(hit)]
                apply(kind, number, path, environment)
                hit[kind] = path.name
                active.discard(number)
                while not has_pending_signal(path):  # Slurm's commands return before their signals are delivered
                    time.sleep(0.02)
            send(signal.SIGCONT, path)
        active &= set(jobs_in("PENDING,CONFIGURING,RUNNING", environment))
        if not active and len(hit) < len(DISTURBANCES):
            assert held, f"every job has ended, and only {hit} were disturbed"
            active = {held.pop(0)}
            subprocess.run(
                ["scontrol", "release", *active], env=environment, check=False
            )  # it may be running already: it was not held
        time.sleep(0.1)
    return hit


def apply(kind: str, number: str, path: Path, environment: dict[str, str]) -> None:
    if kind == "SIGKILL":
        send(signal.SIGKILL, path)
        return
    command = ["scontrol", "requeue"] if kind == "requeue" else ["scancel", f"--signal={kind.removeprefix('SIG')}"]
    subprocess.run([*command, number], env=environment, check=False)  # scancel can exit with 229 for success


def exported(runs_dir: Path, to: Path) -> dict[str, bytes]:
    """Export the tables; return their bytes by name, without the measured times."""
    command = [sys.executable, str(SOURCE / "export.py"), f"runs_dir={runs_dir}", f"output={to}"]
    subprocess.run(command, check=True, capture_output=True)
    return {path.name: path.read_bytes() for path in sorted(to.iterdir()) if path.name != "times.csv"}


def resumed(runs_dir: Path, name: str = "*") -> int:
    """Count how often a run resumed from a checkpoint."""
    return sum(path.read_text().count("continues from") for path in runs_dir.glob(f"tables/{name}/log.txt"))


@pytest.mark.usefixtures("deadline")
def test_stopped_killed_and_requeued_jobs_give_the_tables_of_an_undisturbed_sweep(
    slurm: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    undisturbed, disturbed = tmp_path / "local", tmp_path / "shared"
    jobs_file = disturbed / "tables" / ".submitit" / "jobs.json"
    # First launcher: killed; its jobs continue.
    launcher = sweep(disturbed, *SLURM, environment=slurm)
    while not paused(disturbed, slurm):
        assert launcher.poll() is None, launcher.communicate()[0]
        time.sleep(0.1)
    launcher.kill()
    launcher.communicate()
    queued = json.loads(jobs_file.read_text())
    # Hold the pending jobs, so that even on a fast machine some are left to disturb, and one to stop.
    *held, _ = pending = sorted(jobs_in("PENDING", slurm))
    subprocess.run(["scontrol", "hold", *pending], env=slurm, check=False)  # one may have started by now
    # Second launcher: waits for the same jobs, observes their ends, and is stopped by Ctrl-C.
    launcher = sweep(disturbed, *SLURM, environment=slurm)
    assert any("queued before" in line for line in iter(launcher.stdout.readline, ""))
    hit = disturb(launcher, disturbed, held, slurm)
    assert json.loads(jobs_file.read_text()).keys() <= queued.keys()
    time.sleep(1.5 * TICK)  # until the launcher has seen the last one
    restarted = requeued_runs(disturbed, slurm)
    launcher.send_signal(signal.SIGINT)
    printed = launcher.communicate()[0]
    assert launcher.returncode == 130, printed
    assert "Traceback" not in printed
    assert re.search(rf"failed\s+{hit['SIGKILL']}: its Slurm job \d+_\d ended as FAILED", printed), printed
    assert re.search(rf"preempted\s+{hit['SIGTERM']}: stopped by SIGTERM", printed), printed
    assert "Caught signal SIGUSR2" in (disturbed / "tables" / hit["SIGUSR2"] / "log.txt").read_text()
    assert restarted == {hit["requeue"], hit["SIGUSR2"]}
    assert not jobs_in("PENDING,CONFIGURING,RUNNING", slurm)
    # Third launcher: ends like a local sweep.
    launcher = sweep(disturbed, *SLURM, environment=slurm)
    printed = launcher.communicate()[0]
    assert launcher.returncode == 0, printed
    assert re.search(r"│ 6\s+│ 6\s+│ 0", printed), printed
    assert f"dashboard  {disturbed / 'dashboard.html'}" in printed
    assert re.search(r"timing a training step and the decoding of 6 variants.*: Slurm job \d+\ntimed ", printed), (
        printed
    )
    timed = json.loads((disturbed / "tables" / "timing.json").read_text())
    assert (len(timed["steps"]), timed["left_out"]) == (6, {})
    assert not jobs_file.parent.exists()
    began_anew = {kind: name for kind, name in hit.items() if not resumed(disturbed, name)}
    assert not began_anew

    local = sweep(undisturbed)
    assert "Traceback" not in local.communicate()[0]
    assert local.returncode == 0
    tables, expected = exported(disturbed, tmp_path / "a"), exported(undisturbed, tmp_path / "b")
    different = [name for name in expected if tables.get(name) != expected[name]]
    with capsys.disabled():
        print(
            f"\nSlurm: 6 runs, {len(hit)} of them hit ({', '.join(hit)}), their launcher killed and stopped; "
            f"{resumed(disturbed)} times a run went on from a checkpoint; "
            f"{len(expected)} tables, {len(different)} of them different"
        )
    assert len(expected) >= 4
    assert not different
