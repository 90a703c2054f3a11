"""Timing of steps in turn: with a fake clock, with real small steps, and when a timing is repeated."""

import itertools
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from softlookup.config.resolve import composed
from softlookup.config.run_config import RunConfig
from softlookup.errors import Stopped, UserError
from softlookup.runs import provenance, validated_files
from softlookup.runs.run_folder import RunFolder
from softlookup.runs.run_id import VERSION, run_id, variant_key
from softlookup.sweep.subprocess_call import called
from softlookup.timing import plan
from softlookup.timing.probe import SENTENCES
from softlookup.timing.stopwatch import LEAST, MOST, WARM_UP, in_turn, summary

SMALL = [
    "task=copy",
    "task.longest=5",
    "encoder.width=3",
    "decoder.width=7",
    "encoder.embedding=5",
    "decoder.embedding=5",
    "budget=1000",
]
MACHINE = {"system": "one", "cores": 2}


class Clock:
    """A fake clock: each step advances it by its seconds, times the load factor of the machine in that step."""

    def __init__(self, crowd: Iterator[float] | None = None) -> None:
        self.now = 0.0
        self.crowd = crowd or itertools.repeat(1.0)
        self.taken: list[str] = []

    def __call__(self) -> float:
        return self.now

    def steps(self, **seconds: float) -> dict:
        def step(name: str) -> None:
            self.taken.append(name)
            self.now += seconds[name] * next(self.crowd)

        return {name: lambda name=name: step(name) for name in seconds}


def test_steps_are_taken_in_turn_and_the_first_rounds_are_not_counted() -> None:
    clock, shares = Clock(iter([100.0] * 4 + [1.0] * 14)), []
    found = in_turn(clock.steps(a=2.0, b=3.0), 3500.0, shares.append, clock)
    assert clock.taken == ["a", "b"] * (
        WARM_UP + 7
    )  # the last warm-up round took 500 s, so seven rounds fit into 3,500 s
    assert found == {"a": [2.0] * 7, "b": [3.0] * 7}
    assert shares == [1 / (WARM_UP + MOST), *(turn / 9 for turn in range(2, 10))]


@pytest.mark.parametrize(("seconds", "rounds"), [(0.0, LEAST), (49.9, 9), (1e6, MOST)])
def test_the_number_of_rounds_fits_the_time_within_bounds(seconds: float, rounds: int) -> None:
    clock = Clock()
    assert {name: len(taken) for name, taken in in_turn(clock.steps(a=2, b=3), seconds, None, clock).items()} == {
        "a": rounds,
        "b": rounds,
    }


def test_equal_steps_are_measured_equal_under_temporary_load() -> None:
    """The first third of 2 × 33 steps takes twice as long; timed one after the other, one variant would look slower."""
    clock = Clock(iter([2.0] * 22 + [1.0] * 44))
    found = {name: summary(taken) for name, taken in in_turn(clock.steps(a=5, b=5), 1e6, None, clock).items()}
    assert found["a"] == found["b"]
    assert found["a"]["median"] == 5


def test_quartiles_are_interpolated() -> None:
    assert summary([9, 1, 5, 7, 3]) == {"q1": 3, "median": 5, "q3": 7}
    assert summary([1, 2, 3, 4, 5, 60]) == {"q1": 2.25, "median": 3.5, "q3": 4.75}


def test_a_step_with_a_non_finite_loss_is_left_out_and_the_others_continue() -> None:
    clock = Clock()

    def diverges() -> None:
        if len(clock.taken) == 4:
            raise FloatingPointError("the loss is nan at step 0")

    found = in_turn({"wrong": diverges, **clock.steps(a=2)}, 0, None, clock)
    assert found == {"a": [2.0] * LEAST}


def config(runs_dir: Path, *changes: str) -> dict:
    return composed([*SMALL, f"runs_dir={runs_dir}", "experiment_name=tried", *changes])


def finished(config: RunConfig, **changes: object) -> RunFolder:
    """Write the files of a finished run that timing reads."""
    folder = RunFolder.of(config)
    folder.begin(config)
    row = {"id": folder.id, "status": "finished", "version": VERSION, "variant_key": variant_key(config)}
    folder.write_result({**row, **changes})
    folder.set_state("finished")
    return folder


@pytest.fixture
def two(tmp_path: Path) -> list[dict]:
    """Write finished runs of two variants, with two seeds of the first."""
    configs = [config(tmp_path, "attention=dot", f"seed={seed}") for seed in (1, 2)]
    configs.append(config(tmp_path, "attention=fixed_mean"))
    for one in configs:
        finished(one)
    return configs


def timed(order: plan.Order, **changes: object) -> None:
    steps = {key: {"q1": 1.0, "median": 2.0, "q3": 3.0, "tokens": 5} for key in order.configs}
    content = {**order.origin, "steps": steps, "decoding": steps, "machine": MACHINE, **changes}
    order.path.write_text(json.dumps(content))


def test_every_variant_with_a_finished_run_is_timed_once(two: list[dict], tmp_path: Path) -> None:
    three = [*two, config(tmp_path, "attention=general")]  # without a finished run
    order = plan.due(tmp_path / "tried", three, MACHINE)
    assert order is not None
    assert list(order.configs) == [variant_key(two[0]), variant_key(two[2])]
    assert order.path == tmp_path / "tried" / "timing.json"
    assert {name: order.origin[name] for name in ("version", "threads", "machine")} == {
        "version": VERSION,
        "threads": 1,
        "machine": MACHINE,
    }
    timed(order)
    assert plan.due(tmp_path / "tried", three, MACHINE) is None
    assert plan.due(tmp_path / "nowhere", three, MACHINE) is None


def test_a_timing_is_repeated_for_another_machine_other_code_and_a_new_variant(
    two: list[dict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def due(machine: dict | None = MACHINE) -> plan.Order | None:
        return plan.due(tmp_path / "tried", two, machine)

    order = due()
    assert order is not None
    for name in ("version", "commit", "dirty", "source", "torch", "threads", "device"):
        timed(order, **{name: "another"})
        assert due() is not None, name
        assert due(None) is not None, name
    timed(order, machine={"system": "another"})
    assert due() is not None
    assert due(None) is None  # a cluster has many machines
    for part in ("steps", "decoding"):
        timed(order, **{part: {variant_key(two[0]): {}}})
        assert due() is not None, part
    timed(order)
    assert due() is None
    monkeypatch.setattr(provenance, "code", lambda: {"commit": "f" * 40, "dirty": False, "source": "0" * 12})
    assert due() is not None
    order.path.write_text('{"torn')
    assert due() is not None


def test_the_variants_of_the_plan_are_timed_or_else_those_of_the_folder(two: list[dict], tmp_path: Path) -> None:
    folder = tmp_path / "tried"
    before = finished(config(tmp_path, "attention=general"))  # from an earlier sweep
    finished(config(tmp_path, "attention=cosine"), version=VERSION - 1)
    (RunFolder.of(config(tmp_path, "attention=concat")).path).mkdir()
    renamed = finished(config(tmp_path, "attention=additive"))
    (renamed.path / "config.yaml").write_text("seed: 1\n")
    keys = [variant_key(two[0]), variant_key(two[2])]
    order = plan.due(folder, two, MACHINE)
    assert order is not None
    assert list(order.configs) == [
        keys[0],
        keys[1],
        json.loads((before.path / "result.json").read_text())["variant_key"],
    ]
    (folder / "plan.json").write_text(json.dumps({"planned": [{"id": run_id(one)} for one in two]}))
    order = plan.due(folder, two, MACHINE)
    assert order is not None
    assert list(order.configs) == keys


def test_small_real_steps_are_timed_and_unbuildable_variants_are_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    good = [config(tmp_path, f"attention={name}") for name in ("additive", "fixed_mean")]
    unbuildable = config(tmp_path, "task=multi30k", f"task.path={tmp_path}", "attention=dot")
    for one in (*good, unbuildable):
        finished(one)
    order = plan.due(tmp_path / "tried", [*good, unbuildable], MACHINE)
    assert order is not None
    plan.here(order)
    content = json.loads(order.path.read_text())
    assert content["steps"].keys() == content["decoding"].keys() == {variant_key(one) for one in good}
    times = [*content["steps"].values(), *content["decoding"].values()]
    assert all(0 < one["q1"] <= one["median"] <= one["q3"] for one in times)
    assert {step["tokens"] for step in content["steps"].values()} == {SENTENCES * 6}  # five symbols and EOS
    assert LEAST <= content["rounds"] <= MOST
    assert (content["batch"], content["machine"], content["left_out"].keys()) == (
        32,
        MACHINE,
        {variant_key(unbuildable)},
    )
    assert validated_files.timing(order.path) == content
    printed = capsys.readouterr().out
    assert "timed a training step and the decoding of 3 variants, in turn and alone" in printed
    assert f"not timed  {run_id(unbuildable)}: " in printed
    assert plan.due(tmp_path / "tried", good, MACHINE) is not None  # tried again by the next sweep


def tells(count: int, report) -> None:
    for number in range(count):
        report((number, os.getpid()))


def fails(report) -> None:
    report(1)
    raise ValueError("two\nlines")


def vanishes(report) -> None:
    report(os.getpid())
    os._exit(7)


def hangs(report) -> None:
    report(os.getpid())
    time.sleep(60)


def test_a_call_in_another_process_reports_fails_and_ends_with_its_caller() -> None:
    numbers, pids = zip(*called(f"{__name__}:tells", 3), strict=True)
    assert numbers == (0, 1, 2)
    assert os.getpid() not in pids
    with pytest.raises(UserError, match=r"^ValueError: two lines$"):
        list(called(f"{__name__}:fails"))
    with pytest.raises(UserError, match="exit code 7"):
        list(called(f"{__name__}:vanishes"))
    hanging = called(f"{__name__}:hangs")
    pid = next(hanging)
    hanging.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_signal_ends_the_timing_and_leaves_the_previous_file(
    two: list[dict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = plan.due(tmp_path / "tried", two, MACHINE)
    assert order is not None
    order.path.write_text("before")
    monkeypatch.setattr(plan, "JOB", f"{__name__}:waits")
    threading.Timer(0.3, signal.raise_signal, [signal.SIGINT]).start()
    with pytest.raises(Stopped):
        plan.here(order)
    assert order.path.read_text() == "before"


def waits(order: plan.Order, report) -> None:  # noqa: ARG001
    time.sleep(60)


def test_make_bench_uses_the_same_timing_code(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(plan.__file__).parents[1]))
    import bench

    names = ["general", "fixed_mean"]
    monkeypatch.setattr(bench, "in_turn", lambda steps: {name: [0.01, 0.02] for name in steps})
    bench.main([*SMALL, f"attention={','.join(names)}"])
    printed = [line.split()[:5] for line in capsys.readouterr().out.splitlines()]
    assert printed[-2:] == [[name, "15.0", "12.5–17.5", f"{SENTENCES * 6 / 0.015:,.0f}", "1.00"] for name in names]
