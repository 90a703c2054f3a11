"""Exported tables: the same runs give the same bytes, and reading them gives the measured values."""

import csv
import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import fake_runs
import numpy as np
import pandas as pd
import pytest

from softlookup.analysis import csv_export
from softlookup.analysis.load import by_length, curves, read
from softlookup.analysis.pairs import against_fixed
from softlookup.analysis.statistics import summary
from softlookup.errors import UserError

TABLES = {
    "effects.csv",
    "pairs.csv",
    "profiles.csv",
    "runs.csv",
    "by_length.csv",
    "curves.csv",
    "summary.csv",
    "counts.csv",
    "times.csv",
}
SCRIPT = Path(__file__).parents[1] / "src" / "export.py"


def _again(runs_dir: Path) -> Path:
    """Write the same runs with other times, another place and another order of the plan."""
    folder = fake_runs.make(runs_dir) / "bottleneck"
    plan = json.loads((folder / "plan.json").read_text())
    (folder / "plan.json").write_text(json.dumps(plan | {"planned": plan["planned"][::-1]}))
    for path in folder.glob("*/result.json"):
        row = json.loads(path.read_text())
        clock = ("cost/seconds", "cost/seconds_per_step", "cost/tokens_per_second", "cost/training_seconds")
        row["cost"] |= {name: 7 * value for name, value in row["cost"].items() if name in clock}
        row["cost"] |= {"cost/cuda_max_memory_allocated": 77}
        path.write_text(json.dumps(row | {"provenance": {"finished": "later"}}))
    for path in folder.glob("*/metrics.jsonl"):
        path.write_text(path.read_text().replace('"seconds": ', '"seconds": 1'))
    return runs_dir


def _bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_same_runs_give_the_same_bytes_except_for_times(tmp_path: Path) -> None:
    one = _bytes(csv_export.write(fake_runs.make(tmp_path / "one"), tmp_path / "tables"))
    other = _bytes(csv_export.write(_again(tmp_path / "a longer name"), tmp_path / "others"))
    assert set(one) == set(other) == TABLES
    assert {name for name in TABLES if one[name] != other[name]} == {"times.csv"}
    for content in (*one.values(), *other.values()):
        assert str(tmp_path).encode() not in content
        assert b"\r" not in content


def test_a_changed_measurement_changes_the_tables(tmp_path: Path) -> None:
    before = _bytes(csv_export.write(fake_runs.make(tmp_path / "runs"), tmp_path / "tables"))
    path = tmp_path / "runs" / "bottleneck" / "additive-reverse-s2" / "result.json"
    row = json.loads(path.read_text())
    row["metrics"]["test/token_accuracy"] = np.nextafter(row["metrics"]["test/token_accuracy"], 1)
    path.write_text(json.dumps(row))
    after = _bytes(csv_export.write(tmp_path / "runs", tmp_path / "tables"))
    assert {name for name in TABLES if before[name] != after[name]} == {"runs.csv", "summary.csv"}


def test_values_read_back_equal_the_measured_ones_to_the_last_bit(tmp_path: Path) -> None:
    rows = read(fake_runs.make(tmp_path))
    folder = csv_export.write(tmp_path, tmp_path / "tables")
    back = {path.stem: pd.read_csv(path, float_precision="round_trip") for path in folder.iterdir()}
    by_id = back["runs"].set_index("id")
    assert len(by_id) == 18
    for metric in ("test/token_accuracy", "test/alignment_accuracy", "cost/peak_bytes"):
        pd.testing.assert_series_equal(by_id[metric], rows.set_index("id")[metric][by_id.index], check_exact=True)
    assert by_id["status"].value_counts().to_dict() == {"finished": 16, "failed": 1, "missing": 1}
    assert sorted(back["by_length"]["value"]) == sorted(by_length(rows)["value"])
    assert sorted(back["curves"]["value"]) == sorted(curves(rows)["value"])
    assert set(back["curves"]["measure"]) == {"validation/loss", "validation/token_accuracy", "curriculum/length"}
    table = summary(rows, ["test/token_accuracy"])
    assert back["summary"]["test/token_accuracy/std"].tolist() == table["test/token_accuracy/std"].tolist()
    assert back["summary"]["p"].dropna().tolist() == against_fixed(rows)["p"].tolist()
    assert back["counts"].loc[0].tolist() == ["bottleneck", 18, 16, 1, 0, 1]


def test_measured_times_are_in_a_separate_file(tmp_path: Path) -> None:
    folder = csv_export.write(_again(tmp_path / "runs"), tmp_path / "tables")
    heads = {path.name: next(csv.reader(path.read_text().split("\n"))) for path in folder.iterdir()}
    times = ["cost/cuda_max_memory_allocated", "cost/seconds", "cost/seconds_per_step"]
    assert heads.pop("times.csv") == ["experiment", "id", "task", "variant", "variant_key", "seed", *times]
    assert not any(name.startswith(time) for head in heads.values() for name in head for time in times)
    assert {"cost/parameters", "cost/peak_bytes"} <= set(heads["runs.csv"])


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t=", " ="])
def test_text_never_becomes_a_formula_and_numbers_stay_numbers(tmp_path: Path, first: str) -> None:
    name = f'{first}HYPERLINK("http://x", "y")\r\n,"'
    folder = csv_export.write(fake_runs.make(tmp_path, variants=(name, "dot")), tmp_path / "tables")
    for path in folder.iterdir():
        for line in csv.reader(path.read_text().split("\n")):
            for cell in line:
                assert not cell.startswith(csv_export.FORMULA) or float(cell) < 0
    (variant, _) = pd.unique(pd.read_csv(folder / "runs.csv")["variant"])
    assert variant == f'\'{first.strip()}HYPERLINK("http://x", "y") ,"'


def test_the_reason_of_a_run_has_no_path_of_the_machine(tmp_path: Path) -> None:
    folder = fake_runs.make(tmp_path) / "bottleneck" / "additive-reverse-s2"
    reason = f"{folder}/metrics.jsonl: No space left on device"
    (folder / "state.json").write_text(json.dumps({"state": "failed", "reason": reason}))
    table = pd.read_csv(csv_export.write(tmp_path, tmp_path / "tables") / "runs.csv").set_index("id")
    assert table.loc["additive-reverse-s2", "reason"] == "metrics.jsonl: No space left on device"


def test_a_full_disk_leaves_the_previous_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = csv_export.write(fake_runs.make(tmp_path / "runs"), tmp_path / "tables")
    before = _bytes(folder)
    shutil.rmtree(tmp_path / "runs" / "bottleneck" / "additive-reverse-s2")

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: .*runs\.csv"):
        csv_export.write(tmp_path / "runs", folder)
    assert _bytes(folder) == before


def test_one_experiment_of_several_is_exported(tmp_path: Path) -> None:
    fake_runs.make(tmp_path, "one")
    alone = _bytes(csv_export.write(tmp_path, tmp_path / "tables"))
    fake_runs.make(tmp_path, "two", variants=("dot",))
    assert _bytes(csv_export.write(tmp_path, tmp_path / "tables", "one")) == alone
    with pytest.raises(UserError, match="did you mean one"):
        csv_export.write(tmp_path, tmp_path / "tables", "onne")


def test_the_command_prints_the_folder_and_reports_mistakes_without_a_traceback(tmp_path: Path) -> None:
    fake_runs.make(tmp_path)

    def run_export(*arguments: str) -> tuple[int, str]:
        done = subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    assert run_export(f"runs_dir={tmp_path}") == (0, f"{tmp_path / 'tables'}\n")
    assert run_export("run_dir=x") == (2, "error: 'run_dir=x': expected KEY=VALUE; did you mean runs_dir?\n")
    taken = tmp_path / "file"
    taken.write_text("")
    code, said = run_export(f"runs_dir={tmp_path}", f"output={taken}")
    assert (code, said) == (1, f"error: {taken} cannot be written (File exists)\n")
