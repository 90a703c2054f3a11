"""Tune: every variant gets the same tries on validation data; the grid grows at an edge, and is then refused."""

import itertools
import json
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from hydra_plugins.softlookup_launcher import _tune
from hydra_plugins.softlookup_launcher._jobs import PlannedRun
from softlookup.config.command_line import split
from softlookup.config.resolve import composed
from softlookup.config.run_config import RunConfig
from softlookup.errors import UserError
from softlookup.runs.run_folder import RunFolder
from softlookup.tuning.grid import expected_best

EXPERIMENT = """# @package _global_
defaults:
  - optional tuned: toy
  - _self_
experiment_name: toy
optimizer: {rate: "${tuned.${choices.task}.${choices.attention}}"}
hydra: {sweeper: {params: {task: copy}}}
"""
VARIANTS = ("fixed_mean", "additive")


@pytest.fixture
def toy(conf: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(_tune, "CONF", conf)
    (conf / "experiment" / "toy.yaml").write_text(EXPERIMENT)
    return conf


def _tuned(conf: Path, runs_dir: Path, loss: Callable[[str, float], float], *typed: str) -> list[RunConfig]:
    """Search with runs whose loss is a function of attention and rate, on seeds that each add a little; return them."""
    done: list[RunConfig] = []

    def execute(jobs: list[PlannedRun]) -> list[RunConfig]:
        for config in (job.config for job in jobs):
            folder = RunFolder.of(config)
            value = loss(config.choices["attention"], config.parts["optimizer"]["rate"])
            folder.set_state("finished" if math.isfinite(value) else "diverged")
            if math.isfinite(value):
                kind = "fixed" if config.choices["attention"].startswith("fixed") else "lookup"
                row = {"id": folder.id, "kind": kind, "provenance": {"commit": "abc", "dirty": False}}
                row["metrics"] = {"validation/loss": value + config.settings.seed / 1e6}
                (folder.path / "result.json").write_text(json.dumps(row | {"status": "finished"}))
        done[:] = [job.config for job in jobs]
        return done

    words = ["experiment=toy", "tune=rate:4", f"runs_dir={runs_dir}", "tracking=disabled", *typed]
    _, overrides = split(words)
    with initialize_config_dir(str(conf), version_base=None):
        master = hydra_compose("train", overrides, return_hydra_config=True)
        jobs = [
            [*overrides, "task=copy", f"attention={name}", f"seed={seed}"] for name in VARIANTS for seed in (1, 101)
        ]
        _tune.tune(GlobalHydra.instance().config_loader(), master, jobs, execute)
    return done


def test_the_grid_grows_for_all_until_no_best_rate_is_at_its_edge_and_the_experiment_reads_the_table(
    toy: Path, tmp_path: Path
) -> None:
    best = {"fixed_mean": 0.012, "additive": 0.003}  # the first is the last of 0.0015, 0.003, 0.006, 0.012

    def loss(name: str, rate: float) -> float:
        return math.inf if (name, rate) == ("additive", 0.024) else 1 + abs(math.log(rate / best[name]))

    runs = _tuned(toy, tmp_path / "runs", loss)
    tries = Counter(config.choices["attention"] for config in runs)
    assert tries == {"fixed_mean": 5 * 2, "additive": 5 * 2}
    assert {config.parts["optimizer"]["rate"] for config in runs} == {0.0015, 0.003, 0.006, 0.012, 0.024}
    assert {config.settings.seed for config in runs} == {102, 103}  # 101 is one of the experiment
    assert {config.settings.experiment_name for config in runs} == {"toy_tuning"}
    table = toy / "experiment" / "tuned" / "toy.yaml"
    assert yaml.safe_load(table.read_text()) == {"tuned": {"copy": best}}
    assert 'make sweep EXPERIMENT=toy ARGS="tune=rate:4"' in table.read_text()
    assert table.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    for name in VARIANTS:
        config = composed(["experiment=toy", "task=copy", f"attention={name}", "seed=1"])
        assert (config.parts["optimizer"]["rate"], config.tuned) == (best[name], ("optimizer.rate",))


def test_an_optimum_that_stays_at_the_edge_is_refused_and_no_table_is_written(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_tune, "EXTENSIONS", 1)
    with pytest.raises(UserError, match=r"extended 1 times, .*copy\.additive 0\.024.*tune=rate:6"):
        _tuned(toy, tmp_path / "runs", lambda _, rate: 1 / rate)
    assert not (toy / "experiment" / "tuned" / "toy.yaml").exists()


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("budget=1000", "budget=1000 changes the variants"),
        ("match=parameters", "match=parameters changes the variants"),
    ],
)
def test_a_table_belongs_to_the_experiment_as_it_is(toy: Path, tmp_path: Path, typed: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        _tuned(toy, tmp_path / "runs", lambda *_: 1.0, typed)


def test_expected_best_is_the_mean_over_all_draws() -> None:
    losses = [0.5, 2.0, 0.7, 1.1]
    for k, expected in enumerate(expected_best(losses), start=1):
        draws = [min(draw) for draw in itertools.product(losses, repeat=k)]
        assert expected == pytest.approx(sum(draws) / len(draws))
