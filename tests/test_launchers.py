"""What both launchers do around the runs, and how jobs of a cluster are followed; no training, and no cluster."""

import json
import os
import runpy
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import fake_jobs
import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from hydra_plugins.softlookup_launcher import _cluster, _launch, _queue
from hydra_plugins.softlookup_launcher._cluster import Cluster
from hydra_plugins.softlookup_launcher._jobs import compose
from softlookup.config.catalog import CONF, groups
from softlookup.config.resolve import resolve, typed_keys
from softlookup.errors import Stopped, UserError
from softlookup.runs.inputs import with_inputs
from softlookup.runs.run_folder import RunFolder
from softlookup.runs.run_id import run_id
from softlookup.sweep.progress_table import Board
from softlookup.system.lock import hold
from softlookup.timing import plan

SOURCE = Path(__file__).parents[1] / "src"
# A segmentation means nothing to the tasks that need no files.
# Of groups that a part refers to alone, those that the default parts use.
CHOICES = [f"{g}={choices[-1]}" for g, choices in groups().items() if g not in ("experiment", "segmentation", "mixer")]
# Values before and after choices, of every kind that a command line can give, and one that looks into Hydra's node.
VALUES = [
    ["seed=3", "attention=general", "encoder.width=32", "optimizer.rate=0.5"],
    ["attention=general", "seed=4", "attention.heads=2", "runs_dir='a b'"],
    ["seed=5", "seed=6"],
    ["experiment=bottleneck", "task=grammar", "attention=scaled_dot", "seed=2"],
    ["experiment=bottleneck", "task=grammar", "attention=scaled_dot", "tuned.grammar.scaled_dot=1", "seed=3"],
    ["experiment=scores", "task=copy", "attention=cosine", "runs_dir=elsewhere", "memory=null"],
    ["task=copy", "runs_dir=${hydra:job.name}-${seed}", "seed=2"],
    ["task=copy", "++seed=7", "seed=8"],
    ["++seed=7", "task.longest=12"],
]  # fmt: skip


@pytest.fixture
def hydra() -> Iterator[tuple]:
    """Hydra's loader, and the config of a sweep's command line."""
    with initialize_config_dir(str(CONF), version_base=None):
        loader = GlobalHydra.instance().config_loader()
        yield loader, loader.load_configuration("train", [], run_mode=RunMode.MULTIRUN)


def test_jobs_are_those_that_hydra_composes(hydra: tuple) -> None:
    loader, master = hydra

    def slowly(overrides: Sequence[str]) -> dict:
        whole = loader.load_sweep_config(master, list(overrides))
        HydraConfig.instance().set_config(whole)
        return with_inputs(resolve(whole, {}), typed_keys())

    asked = [*VALUES, *(["seed=9", choice, "budget=10"] for choice in CHOICES)]
    before = HydraConfig.instance().cfg
    expected = [slowly(overrides) for overrides in asked]
    HydraConfig.instance().cfg = before
    jobs = compose(loader, master, [*asked, *VALUES])  # all at once, where one could disturb the next
    assert [job.config for job in jobs] == [*expected, *expected[: len(VALUES)]]
    assert [job.planned for job in jobs] == ["experiment=" in overrides[0] for overrides in [*asked, *VALUES]]
    assert HydraConfig.instance().cfg is before


def test_a_choice_that_some_jobs_make_meaningless_makes_no_run_of_its_own(hydra: tuple) -> None:
    crossed = [[f"attention={a}", f"normalizer={n}"] for a in ("fixed_mean", "dot") for n in ("softmax", "sparsemax")]
    jobs = compose(*hydra, crossed)
    assert len({run_id(job.config) for job in jobs}) == 3
    assert [job.config.choices.get("normalizer") for job in jobs] == [None, None, "softmax", "sparsemax"]
    with pytest.raises(UserError, match=r"attention=fixed_mean.* uses no normalizer"):
        compose(*hydra, crossed[:2])
    with pytest.raises(UserError, match=r"published.width=0.\d: nothing refers to it here; leave it out"):
        compose(*hydra, [["+published.width=0.0"], ["+published.width=0.3"]])


def test_a_file_that_looks_at_the_job_gets_that_of_each_job(hydra: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    loader, master = hydra
    load = loader.load_sweep_config

    def looking(config: DictConfig, overrides: list[str]) -> DictConfig:
        whole = load(config, overrides)
        whole.runs_dir = "${hydra:job.override_dirname}"
        return whole

    monkeypatch.setattr(loader, "load_sweep_config", looking)
    jobs = compose(loader, master, [["task=copy", "seed=1"], ["task=copy", "seed=2"]])
    assert [job.config.settings.runs_dir for job in jobs] == ["seed=1,task=copy", "seed=2,task=copy"]


def test_a_mistake_in_one_job_is_found_as_hydra_finds_it(hydra: tuple) -> None:
    loader, master = hydra
    with pytest.raises(UserError, match="budget=0"):
        compose(loader, master, [["seed=1"], ["seed=1", "budget=0"]])
    with pytest.raises(Exception, match="not in struct"):
        compose(loader, master, [["seed=1"], ["seed=1", "encoder.wdith=3"]])


def test_choices_are_read_once_for_each_combination(hydra: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    loader, master = hydra
    asked = []
    load = loader.load_sweep_config
    monkeypatch.setattr(loader, "load_sweep_config", lambda config, given: asked.append(given) or load(config, given))
    compose(loader, master, [[f"attention={a}", f"seed={s}"] for a in ("dot", "general") for s in range(1, 6)])
    assert asked == [["attention=dot"], ["attention=general"]]


def test_more_than_a_thousand_runs_ask_to_be_confirmed(tmp_path: Path, hydra: tuple) -> None:
    _, master = hydra
    master.runs_dir, master.experiment_name = str(tmp_path), "tried"
    asked = [[f"seed={seed}"] for seed in range(1, 1002)]

    def refusal() -> str:
        with pytest.raises(UserError) as raised:
            _launch.launch(None, master, asked, 2, pytest.fail, pytest.fail, None)
        return str(raised.value)

    assert refusal() == (
        "this sweep has 1,001 runs; none of them has been timed yet: a small sweep of them first would show how long "
        "they take; if that is meant, add confirm=true"
    )
    for seconds in (10, 30):
        folder = RunFolder(tmp_path / "tried" / str(seconds))
        folder.write_result({"id": folder.id, "cost": {"cost/seconds": seconds}})
    (tmp_path / "tried" / "torn").mkdir()
    (tmp_path / "tried" / "torn" / "result.json").write_text('{"cost": ')
    # 1,001 × 20 s / 2
    assert "the mean of 2 finished ones, 20.0 s, about 2 h 46 min with 2 at a time" in refusal()

    for count, confirm in ((1000, False), (1001, True)):  # these go on, to composing
        master.confirm = confirm
        with pytest.raises(AttributeError, match="load_sweep_config"):
            _launch.launch(None, master, asked[:count], 2, pytest.fail, pytest.fail, None)


def test_the_entry_point_refuses_them_before_it_composes_one(tmp_path: Path) -> None:
    command = [sys.executable, str(SOURCE / "train.py"), "-m", f"runs_dir={tmp_path}/runs", "seed=range(1,1502)"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert "error: this sweep has 1,501 runs" in done.stderr
    assert "add confirm=true" in done.stderr
    assert not (tmp_path / "runs").exists() or not list(tmp_path.glob("runs/*/*/state.json"))


def test_a_sweep_of_an_experiment_that_another_has_starts_nothing(tmp_path: Path, hydra: tuple) -> None:
    loader, master = hydra
    asked = [[f"runs_dir={tmp_path}", f"experiment_name={name}"] for name in ("free", "taken")]
    with hold(tmp_path / "taken"), pytest.raises(UserError, match=f"in use by process {os.getpid()}"):
        _launch.launch(loader, master, asked, 2, pytest.fail, pytest.fail, None)
    with hold(tmp_path / "another"), pytest.raises(ZeroDivisionError):
        _launch.launch(loader, master, asked, 2, lambda _: 1 / 0, pytest.fail, None)
    with hold(tmp_path / "taken"), hold(tmp_path / "free"):  # and is free when the sweep has ended, however it did
        pass


class Told:
    """What Slurm answers, question after question; the last answer again from then on."""

    def __init__(self, *answers: dict[str, str] | None) -> None:
        self.answers = list(answers)
        self.asked = 0

    def __call__(self, job_ids: list[str]) -> dict[str, str] | None:
        self.asked += 1
        told = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        return None if told is None else {job_id: state for job_id, state in told.items() if job_id in job_ids}


def runs(tmp_path: Path, *states: str) -> dict[str, _queue.Run]:
    """Jobs 7_0, 7_1, …, whose runs have these states in their folders."""
    jobs = {}
    for number, state in enumerate(states):
        config = fake_jobs.config(tmp_path, number + 1)
        folder = RunFolder.of(config)
        if state == "finished":
            folder.write_result({"id": folder.id})
        folder.set_state(state, "its own words" if state == "diverged" else None)
        jobs[f"7_{number}"] = (folder, config)
    return jobs


def follow(jobs: dict[str, _queue.Run], told: Told, monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple]:
    """State and reason of each run on the board, by the job."""
    monkeypatch.setattr(_queue, "ask", told)
    monkeypatch.setattr(_queue, "_TICK", 0.0)
    board = Board(len(jobs), 0, 2)
    _queue.follow(jobs, board)
    assert not board.running
    ended = {ended.folder.id: (ended.state, ended.reason) for ended in board.ended}
    return {job_id: ended[folder.id] for job_id, (folder, _) in jobs.items()}


def test_every_job_is_waited_for_however_the_others_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ends = {"7_0": "FAILED", "7_1": "COMPLETED", "7_2": "OUT_OF_MEMORY", "7_3": "CANCELLED", "7_4": "FAILED"}
    jobs = runs(tmp_path, "running", "finished", "running", "running", "diverged")
    others = dict.fromkeys([*jobs][1:], "RUNNING")
    told = Told({"7_0": "RUNNING"} | others, {"7_0": "FAILED"} | others, None, {"7_0": "FAILED"} | others, ends)
    expected = {
        "7_0": ("failed", "its Slurm job 7_0 ended as FAILED"),
        "7_1": ("finished", None),
        "7_2": ("out_of_memory", "its Slurm job 7_2 ended as OUT_OF_MEMORY"),
        "7_3": ("preempted", "its Slurm job 7_3 ended as CANCELLED"),
        "7_4": ("diverged", "its own words"),
    }
    assert follow(jobs, told, monkeypatch) == expected
    assert told.asked == 5
    assert {job: (folder.state(), folder.reason()) for job, (folder, _) in jobs.items()} == expected


def test_a_job_that_goes_back_into_the_queue_is_waited_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = runs(tmp_path, "finished", "queued", "queued")
    answers = [dict.fromkeys(jobs, state) for state in ("PENDING", "RUNNING", "PENDING", "COMPLETING", "RUNNING")]
    told = Told(*answers, {"7_0": "COMPLETED", "7_1": "FAILED"})
    assert follow(jobs, told, monkeypatch) == {
        "7_0": ("finished", None),
        "7_1": ("failed", "its Slurm job 7_1 ended as FAILED before the run began"),
        "7_2": ("preempted", "its Slurm job 7_2 ended as GONE before the run began"),
    }
    assert told.asked == 6


def test_a_killed_run_that_had_written_its_result_is_finished(tmp_path: Path) -> None:
    ((folder, _),) = runs(tmp_path, "finished").values()
    folder.set_state("running")
    assert _queue.conclude(folder, "7_0", "FAILED") == ("finished", None)
    assert folder.state() == "finished"


def test_the_state_of_a_run_that_another_process_has_is_left_alone(tmp_path: Path) -> None:
    ((folder, _),) = runs(tmp_path, "running").values()
    with hold(folder.path):
        state, reason = _queue.conclude(folder, "7_0", "FAILED")
    assert state == "failed"
    assert f"in use by process {os.getpid()}" in str(reason)
    assert folder.state() == "running"


SQUEUE = """#!/bin/sh
echo "$@" > {folder}/asked
cat {folder}/answer
cat {folder}/errors >&2
test ! -s {folder}/errors
"""


@pytest.fixture
def squeue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which `answer` and `errors` hold what squeue says next."""
    program = tmp_path / "bin" / "squeue"
    program.parent.mkdir()
    program.write_text(SQUEUE.format(folder=program.parent))
    program.chmod(0o755)
    for name in ("answer", "errors"):
        (program.parent / name).touch()
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    return program.parent


def test_slurm_is_asked_once_for_all_jobs_of_all_arrays(squeue: Path) -> None:
    (squeue / "answer").write_text("7_0 RUNNING\n7_1 PENDING\n9 COMPLETED\n8_3 PENDING\n")
    assert _queue.ask(["7_0", "7_1", "9", "7_2"]) == {"7_0": "RUNNING", "7_1": "PENDING", "9": "COMPLETED"}
    assert (squeue / "asked").read_text().split()[-1] == "--jobs=7,9"


def test_jobs_that_slurm_has_forgotten_are_told_from_a_slurm_that_is_silent(squeue: Path) -> None:
    (squeue / "errors").write_text("slurm_load_jobs error: Invalid job id specified\n")
    assert _queue.ask(["7_0"]) == {}
    (squeue / "errors").write_text("slurm_load_jobs error: Unable to contact slurm controller\n")
    assert _queue.ask(["7_0"]) is None
    with pytest.raises(UserError, match="squeue does not answer"):
        _queue.waiting(["7_0"])


PARAMETERS = {"max_num_timeout": 1, "array_parallelism": 5}


def test_where_no_slurm_is_nothing_is_queued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    config = fake_jobs.config(tmp_path, 1)
    with pytest.raises(UserError, match=r"srun.* hydra/launcher=local runs the sweep on this machine"):
        Cluster({"submitit_folder": str(tmp_path / "kept"), **PARAMETERS}).run([config])
    assert RunFolder.of(config).state() is None


def test_a_large_sweep_is_several_arrays_that_share_the_jobs_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted, shares = Submitted(), []
    monkeypatch.setattr(Cluster, "_executor", lambda _, arrays, __: shares.append(arrays) or submitted)
    monkeypatch.setattr(_queue, "follow", lambda *_: None)
    monkeypatch.setattr(_cluster, "_ARRAY", 3)
    configs = [fake_jobs.config(tmp_path, seed) for seed in range(1, 9)]
    Cluster({"submitit_folder": str(tmp_path / "kept"), **PARAMETERS}).run(configs)
    assert [len(array) for array in submitted.arrays] == [3, 3, 2]
    assert shares == [3]
    named = json.loads((tmp_path / "kept" / "jobs.json").read_text())
    assert sorted(named.values()) == sorted(str(RunFolder.of(config).path) for config in configs)


class Submitted:
    """Stands in for submitit: its arrays are numbered from 20."""

    def __init__(self) -> None:
        self.arrays: list[list[str]] = []

    def map_array(self, _: object, configs: list[dict], paths: list[str]) -> list:
        self.arrays.append(paths)
        return [type("Made", (), {"job_id": f"{19 + len(self.arrays)}_{i}"}) for i in range(len(configs))]


def test_jobs_of_a_launcher_that_was_killed_are_not_queued_twice(
    tmp_path: Path, squeue: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    cluster = Cluster({"submitit_folder": str(tmp_path / "kept"), **PARAMETERS})
    configs = [fake_jobs.config(tmp_path, seed) for seed in range(1, 6)]
    paths = [str(RunFolder.of(config).path) for config in configs]
    RunFolder.of(configs[0]).write_result({"id": RunFolder.of(configs[0]).id})
    RunFolder.of(configs[0]).set_state("finished")
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "jobs.json").write_text(json.dumps({f"7_{i}": path for i, path in enumerate(paths[:4])}))
    (squeue / "answer").write_text("7_0 COMPLETED\n7_1 RUNNING\n7_2 PENDING\n7_3 FAILED\n")
    submitted, followed = Submitted(), {}
    monkeypatch.setattr(Cluster, "_executor", lambda *_: submitted)
    monkeypatch.setattr(_queue, "follow", lambda jobs, _: followed.update(jobs))
    assert not cluster.run(configs)  # none of the four ended as finished
    assert "2 runs were queued before" in capsys.readouterr().out
    assert submitted.arrays == [[paths[3], paths[4]]]
    assert os.environ["OMP_NUM_THREADS"] == "1"  # the jobs inherit it
    expected = {"7_1": paths[1], "7_2": paths[2], "20_0": paths[3], "20_1": paths[4]}
    assert {job_id: str(folder.path) for job_id, (folder, _) in followed.items()} == expected
    assert json.loads((tmp_path / "kept" / "jobs.json").read_text()) == expected


def test_without_its_packages_the_slurm_launcher_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hydra_plugins.hydra_submitit_launcher.submitit_launcher", None)
    defined = runpy.run_path(str(SOURCE / "hydra_plugins" / "softlookup_launcher" / "slurm.py"))
    with pytest.raises(UserError, match=r"pip install 'softlookup\[slurm\]'"):
        defined["SlurmLauncher"](partition=None)


def test_a_timing_that_fails_or_is_stopped_costs_no_run_and_no_report(
    tmp_path: Path, hydra: tuple, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    loader, master = hydra
    asked = [[f"runs_dir={tmp_path}", "experiment_name=tried", f"seed={seed}"] for seed in (1, 2)]
    order = plan.Order(tmp_path / "tried" / "timing.json", {}, {})
    told = []
    monkeypatch.setattr(plan, "due", lambda *asked: told.append(asked) or order)
    monkeypatch.setattr(_launch, "_report", lambda _: print("the report"))

    def fails(given: plan.Order) -> None:
        assert given is order
        raise UserError("its process ended with exit code 9")

    def stopped(_: plan.Order) -> None:
        raise Stopped(15)

    machine = {"cores": 7}
    assert len(_launch.launch(loader, master, asked, 2, lambda _: True, fails, machine)) == 2
    assert capsys.readouterr() == ("the report\n", "no timing: its process ended with exit code 9\n")
    ((folder, configs, given),) = told
    assert (folder, [config.settings.seed for config in configs], given) == (tmp_path / "tried", [1, 2], machine)
    with pytest.raises(Stopped):
        _launch.launch(loader, master, asked, 2, lambda _: True, stopped, machine)
    out, err = capsys.readouterr()
    assert (out, "the same command repeats it" in err) == ("the report\n", True)


def test_a_cluster_times_in_a_job_of_its_own(
    tmp_path: Path, squeue: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    order = plan.Order(tmp_path / "timing.json", {"0" * 12: {}, "1" * 12: {}}, {"version": 2})
    kept = tmp_path / "kept"
    cluster = Cluster({"submitit_folder": str(kept), **PARAMETERS})
    writes = '{"rounds": 7, "left_out": {"1": "dot-gru-copy-s1-1: no such file"}}'

    class Executor:
        def submit(self, job: object, given: plan.Order) -> SimpleNamespace:
            assert isinstance(job, _cluster.Clock)
            (kept / "timing").mkdir(parents=True)
            given.path.write_text(writes)
            return SimpleNamespace(job_id="31", paths=SimpleNamespace(stderr=kept / "timing" / "31.err"))

    monkeypatch.setattr(Cluster, "_executor", lambda *_: Executor())
    monkeypatch.setattr(_queue, "_TICK", 0.0)
    (squeue / "answer").write_text("31 COMPLETED\n")
    cluster.time(order)
    printed = capsys.readouterr().out
    assert printed.startswith(
        "timing a training step and the decoding of 2 variants, in turn and alone: Slurm job 31\ntimed "
    )
    assert "7 rounds" in printed
    assert "not timed  dot-gru-copy-s1-1: no such file" in printed
    assert not kept.exists()
    (squeue / "answer").write_text("31 FAILED\n")  # and the file stays as it was before
    with pytest.raises(UserError, match=r"its Slurm job 31 ended as FAILED; its log: .*31\.err"):
        cluster.time(order)
    assert (kept / "timing").is_dir()
