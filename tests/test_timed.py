"""Separately timed steps: used by the table, and the page; wall times are never used for ranking."""

import json
from pathlib import Path

import fake_runs
import numpy as np
import pandas as pd
import pytest

from softlookup.analysis import csv_export
from softlookup.analysis.cost_table import cost_tables
from softlookup.analysis.effect_table import effect_tables
from softlookup.analysis.load import read
from softlookup.analysis.step_timing import MEDIAN, RATIO
from softlookup.analysis.tables import summary_table
from softlookup.dashboard.page_data import payload
from softlookup.runs.run_id import VERSION

VARIANTS = ("fixed_mean", "fixed_max", "additive", "dot")
MEDIANS = dict(zip(VARIANTS, (0.011, 0.010, 0.025, 0.013), strict=True))


def _timed(runs_dir: Path, names: tuple[str, ...] = VARIANTS) -> pd.DataFrame:
    """Write one task with timed steps of some variants; their wall times have a different order."""
    fake_runs.make(runs_dir, tasks=("reverse",), variants=VARIANTS)
    keys = read(runs_dir).groupby("variant")["variant_key"].first()
    fake_runs.set_timing(runs_dir / "bottleneck", {keys[name]: MEDIANS[name] for name in names})
    return read(runs_dir)


def _cells(rows: pd.DataFrame) -> tuple[list[str], dict[str, dict[str, str]]]:
    columns, lines = summary_table(rows)
    return columns, {line[1]: dict(zip(columns, line, strict=True)) for line in lines}


def test_the_table_has_the_timed_step_with_quartiles_and_ratio_to_a_fixed_context(
    tmp_path: Path,
) -> None:
    columns, lines = _cells(_timed(tmp_path))
    (column,) = (name for name in columns if name.startswith("step"))
    assert column == "step, timed alone (quartiles)"
    assert {name: line[column] for name, line in lines.items()} == {
        "fixed_max": "10.0 ms (9–12)",
        "fixed_mean": "11.0 ms (10–13)",
        "additive": "25.0 ms (23–30)",
        "dot": "13.0 ms (12–16)",
    }
    table = effect_tables(_timed(tmp_path / "again"))[0]
    ratios = {line[0]: line[table.columns.index("time ×")] for line in table.lines}
    assert ratios == {"additive": "2.50", "dot": "1.30", "fixed_max": "1.00", "fixed_mean": "1.10"}


def test_without_a_timing_the_wall_time_is_labelled_and_not_used_for_ranking(tmp_path: Path) -> None:
    rows = read(fake_runs.make(tmp_path))
    columns, _ = _cells(rows)
    (column,) = (name for name in columns if name.startswith("step"))
    assert column == "step (wall time, shared machine)"
    (experiment,) = payload(rows)["experiments"]
    for task in experiment["tasks"]:
        assert MEDIAN not in task["values"]
        assert task["untimed"].startswith("Not timed (a sweep times a step of each variant at its end, and")


def test_the_page_has_the_timed_steps_and_says_which_variant_has_none(tmp_path: Path) -> None:
    rows = _timed(tmp_path, VARIANTS[1:])
    (task,) = payload(rows)["experiments"][0]["tasks"]
    names = [task["variants"][variant]["name"] for variant in task["variant"]]
    expected = {**MEDIANS, "fixed_mean": np.nan}
    assert task["values"][MEDIAN]["all"] == pytest.approx([expected[name] for name in names], nan_ok=True)
    assert task["untimed"].startswith("Not timed: fixed_mean (timing.json has no step of it; the")


def test_without_a_timed_fixed_context_the_table_has_no_ratio(tmp_path: Path) -> None:
    rows = _timed(tmp_path, ("additive",))
    columns, lines = _cells(rows)
    (column,) = (name for name in columns if name.startswith("step"))
    assert lines["additive"][column] == "25.0 ms (23–30)"
    assert lines["dot"][column] == "absent"
    assert RATIO not in rows


def test_a_variant_that_could_not_be_timed_has_its_reason(tmp_path: Path) -> None:
    rows = _timed(tmp_path, ("fixed_mean",))
    path = tmp_path / "bottleneck" / "timing.json"
    key = rows[rows["variant"] == "dot"].iloc[0]["variant_key"]
    path.write_text(json.dumps(json.loads(path.read_text()) | {"left_out": {key: "dot-gru: out of memory"}}))
    reasons = read(tmp_path).groupby("variant")["untimed"].first()
    assert (reasons["dot"], reasons["fixed_mean"]) == ("dot-gru: out of memory", "")
    assert "no step of it" in reasons["additive"]


def test_timings_are_only_in_the_table_of_times(tmp_path: Path) -> None:
    tables = csv_export.tables(_timed(tmp_path))
    assert {name for name, table in tables.items() if any(str(column).startswith("timing/") for column in table)} == {
        "times.csv"
    }
    assert sorted(tables["times.csv"][RATIO].unique()) == pytest.approx([1.0, 1.1, 1.3, 2.5])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"version": VERSION - 1}, "timing.json: version is not that of this code"),
        ({"steps": []}, "timing.json: steps is not a mapping"),
        ({"steps": {"a": 3}}, "timing.json: steps.a is not a mapping"),
        ({"steps": {"a": {"median": 1.0, "q1": 2.0, "q3": 3.0}}}, "timing.json: steps.a is not 0 < q1 ≤ median ≤ q3"),
        ({"steps": {"a": {"median": 1.0, "q1": 0.0, "q3": 3.0}}}, "timing.json: steps.a is not 0 < q1 ≤ median ≤ q3"),
        ({"steps": {"a": {"median": 1.0, "q3": 3.0}}}, "timing.json: steps.a is not 0 < q1 ≤ median ≤ q3"),
        ({"steps": {"a": {"median": "1", "q1": 1, "q3": 3}}}, "timing.json: steps.a is not 0 < q1 ≤ median ≤ q3"),
        ({"left_out": {"a": 3}}, "timing.json: left_out is not reasons"),
    ],
)
def test_a_timing_of_wrong_structure_is_ignored_and_reported(tmp_path: Path, changed: dict, message: str) -> None:
    _timed(tmp_path)
    path = tmp_path / "bottleneck" / "timing.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    rows = read(tmp_path)
    assert set(rows["untimed"]) == {f"{message}; the same sweep writes it anew"}
    assert MEDIAN not in rows
    assert np.isfinite(rows[rows["counted"]]["test/token_accuracy"]).all()


def test_costs_are_ratios_to_the_cheapest_fixed_context_that_has_any(tmp_path: Path) -> None:
    rows = _timed(tmp_path)
    rows.loc[rows["variant"] == "fixed_max", "cost/state_bytes"] = 0.0  # no base of a ratio
    (table,) = cost_tables(rows)
    ratios = {line[0]: dict(zip(table.columns, line, strict=True)) for line in table.lines}
    assert {name: line["step ×"] for name, line in ratios.items()} == {
        name: f"{MEDIANS[name] / 0.010:.2f}" for name in VARIANTS
    }
    assert {name: line["token ×"] for name, line in ratios.items()} == {n: ratios[n]["step ×"] for n in VARIANTS}
    assert (ratios["fixed_max"]["state ×"], ratios["fixed_mean"]["state ×"]) == ("0.00", "1.00")
    assert "step, timed alone 10.0 ms (fixed_max)" in table.notes[0]
