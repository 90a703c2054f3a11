"""A sweep on a real Slurm, whose jobs are stopped, killed and sent back into the queue, against an undisturbed one."""

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
# Six runs; half of them draw random numbers for dropout while they train.
RUNS = [
    "experiment_name=tables", "attention=additive,general,fixed_mean", "encoder.dropout=0,0.2", "budget=100000",
    f"validations={VALIDATIONS}", "checkpoint_seconds=0.5", "tracking=disabled",
]  # fmt: skip
SLURM = ["hydra/launcher=submitit_slurm", "hydra.launcher.mem_gb=1"]
LONGEST = 1200  # seconds; two to five minutes are usual
TICK = 5  # seconds between two looks of the launcher at its jobs
LAUNCHERS: list[subprocess.Popen] = []
DISTURBANCES = ("SIGTERM", "SIGKILL", "requeue", "SIGUSR2")


@pytest.fixture
def deadline() -> Iterator[None]:
    """A cluster that stands still fails the test."""

    def late(*_: object) -> None:
        raise TimeoutError(f"not done after {LONGEST} s")

    before = signal.signal(signal.SIGALRM, late)
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
    """`python src/train.py -m` with the runs of this test."""
    command = [sys.executable, str(SOURCE / "train.py"), "-m", f"runs_dir={runs_dir}", *RUNS, *arguments]
    LAUNCHERS.append(
        subprocess.Popen(
            command, env=environment or {**os.environ}, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            # A shell that started the tests in its background has SIGINT ignored, and children inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        )
    )  # fmt: skip
    return LAUNCHERS[-1]


def training(runs_dir: Path, environment: dict[str, str]) -> dict[str, Path]:
    """Jobs whose runs train, have a checkpoint and a third of the way to go: the folder by the number of the job."""
    runs = runs_of(runs_dir)
    found = {number: runs[number] for number in jobs_in("RUNNING", environment) if number in runs}
    return {number: path for number, path in found.items() if list(path.glob("checkpoints/*.pt")) and early(path)}


def runs_of(runs_dir: Path) -> dict[str, Path]:
    """The folder of the run of each job that was queued, by the number of the job."""
    jobs_file = runs_dir / "tables" / ".submitit" / "jobs.json"
    queued = json.loads(jobs_file.read_text()) if jobs_file.exists() else {}
    return {number: Path(path) for number, path in queued.items()}


def squeue(environment: dict[str, str], *options: str) -> list[str]:
    command = ["squeue", "--noheader", "--array", *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()


def jobs_in(states: str, environment: dict[str, str]) -> list[str]:
    return [line.strip() for line in squeue(environment, f"--states={states}", "--format=%i")]


def put_back(runs_dir: Path, environment: dict[str, str]) -> set[str]:
    """Runs whose jobs Slurm has put back into the queue."""
    told = squeue(environment, "--states=all", "--Format=ArrayJobID:12,ArrayTaskID:12,RestartCnt:12")
    runs = runs_of(runs_dir)
    return {runs[f"{array}_{task}"].name for array, task, times in map(str.split, told) if int(times)}


def early(path: Path) -> bool:
    metrics = path / "metrics.jsonl"
    return not metrics.exists() or metrics.read_bytes().count(b"\n") <= VALIDATIONS - 2


def caught(runs_dir: Path, environment: dict[str, str], but: Collection[str] = ()) -> dict[str, Path]:
    """The `training` jobs, made to stand still: a run of seconds would otherwise end before it is hit."""
    still = {}
    for number, path in training(runs_dir, environment).items():
        if path.name not in but:
            send(signal.SIGSTOP, path)
            if early(path):
                still[number] = path
            else:
                send(signal.SIGCONT, path)
    return still


def send(number: signal.Signals, path: Path) -> None:
    """To the process of a run, which says in its lock who it is; to nobody where none has the lock."""
    if lock.holder(path) is not None:
        with suppress(ProcessLookupError):
            os.kill(process_of(path), number)


def process_of(path: Path) -> int:
    return json.loads((path / lock.NAME).read_text())["pid"]


def hears(path: Path) -> bool:
    """Whether a signal waits for the process of a run that stands still, or it is gone."""
    try:
        told = Path(f"/proc/{process_of(path)}/status").read_text()
    except OSError:
        return True
    return any(int(pending, 16) for pending in re.findall(r"^S[ih][gd]Pnd:\s+(\w+)$", told, re.MULTILINE))


def disturb(launcher: subprocess.Popen, runs_dir: Path, held: list[str], environment: dict[str, str]) -> dict[str, str]:
    """Do every disturbance, each to another run while it trains; the runs by what was done to them.

    The held jobs are let go one by one, when no other is left to be hit.
    """
    hit: dict[str, str] = {}
    goes = set(jobs_in("RUNNING", environment))
    while len(hit) < len(DISTURBANCES):
        assert launcher.poll() is None, f"{hit} {launcher.communicate()[0]}"
        for number, path in caught(runs_dir, environment, hit.values()).items():
            if len(hit) < len(DISTURBANCES):
                kind = DISTURBANCES[len(hit)]
                strike(kind, number, path, environment)
                hit[kind] = path.name
                goes.discard(number)
                while not hears(path):  # Slurm's commands are back before their signals have arrived
                    time.sleep(0.02)
            send(signal.SIGCONT, path)
        goes &= set(jobs_in("PENDING,CONFIGURING,RUNNING", environment))
        if not goes and len(hit) < len(DISTURBANCES):
            assert held, f"every job has ended, and only {hit} were hit"
            goes = {held.pop(0)}
            subprocess.run(["scontrol", "release", *goes], env=environment, check=False)  # it may run: it was not held
        time.sleep(0.1)
    return hit


def strike(kind: str, number: str, path: Path, environment: dict[str, str]) -> None:
    if kind == "SIGKILL":
        send(signal.SIGKILL, path)
        return
    command = ["scontrol", "requeue"] if kind == "requeue" else ["scancel", f"--signal={kind.removeprefix('SIG')}"]
    subprocess.run([*command, number], env=environment, check=False)  # scancel has been seen to end with 229 for done


def exported(runs_dir: Path, to: Path) -> dict[str, bytes]:
    """The tables without the measured times."""
    command = [sys.executable, str(SOURCE / "export.py"), f"runs_dir={runs_dir}", f"output={to}"]
    subprocess.run(command, check=True, capture_output=True)
    return {path.name: path.read_bytes() for path in sorted(to.iterdir()) if path.name != "times.csv"}


def resumed(runs_dir: Path, name: str = "*") -> int:
    """How many times a run went on from a checkpoint."""
    return sum(path.read_text().count("goes on from") for path in runs_dir.glob(f"tables/{name}/log.txt"))


@pytest.mark.usefixtures("deadline")
def test_stopped_killed_and_requeued_jobs_end_in_the_tables_of_an_undisturbed_sweep(
    slurm: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    undisturbed, disturbed = tmp_path / "local", tmp_path / "shared"
    jobs_file = disturbed / "tables" / ".submitit" / "jobs.json"
    # The launcher is killed, and its jobs go on without it.
    launcher = sweep(disturbed, *SLURM, environment=slurm)
    while not caught(disturbed, slurm):
        assert launcher.poll() is None, launcher.communicate()[0]
        time.sleep(0.1)
    launcher.kill()
    launcher.communicate()
    queued = json.loads(jobs_file.read_text())
    # The others are kept waiting: however fast the machine, something is left to be hit, and one to be stopped.
    *held, _ = pending = sorted(jobs_in("PENDING", slurm))
    subprocess.run(["scontrol", "hold", *pending], env=slurm, check=False)  # one may have begun by now
    # The next one waits for the same jobs, sees what becomes of them, and is stopped by Ctrl-C.
    launcher = sweep(disturbed, *SLURM, environment=slurm)
    assert any("queued before" in line for line in iter(launcher.stdout.readline, ""))
    hit = disturb(launcher, disturbed, held, slurm)
    assert json.loads(jobs_file.read_text()).keys() <= queued.keys()
    time.sleep(1.5 * TICK)  # it sees the last one
    restarted = put_back(disturbed, slurm)
    launcher.send_signal(signal.SIGINT)
    printed = launcher.communicate()[0]
    assert launcher.returncode == 130, printed
    assert "Traceback" not in printed
    assert re.search(rf"failed\s+{hit['SIGKILL']}: its Slurm job \d+_\d ended as FAILED", printed), printed
    assert re.search(rf"preempted\s+{hit['SIGTERM']}: stopped by SIGTERM", printed), printed
    assert "Caught signal SIGUSR2" in (disturbed / "tables" / hit["SIGUSR2"] / "log.txt").read_text()
    assert restarted == {hit["requeue"], hit["SIGUSR2"]}
    assert not jobs_in("PENDING,CONFIGURING,RUNNING", slurm)
    # The last one ends as a local sweep does.
    launcher = sweep(disturbed, *SLURM, environment=slurm)
    printed = launcher.communicate()[0]
    assert launcher.returncode == 0, printed
    assert re.search(r"│ 6\s+│ 6\s+│ 0", printed), printed
    assert f"dashboard  {disturbed / 'dashboard.html'}" in printed
    assert re.search(r"timing a training step of 6 variants.*: Slurm job \d+\ntimed ", printed), printed
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
