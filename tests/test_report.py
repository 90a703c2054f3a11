"""The terminal report of a run and of a sweep."""

import json
from pathlib import Path

import fake_runs
import pytest

from softlookup.analysis import terminal_report
from softlookup.analysis.load import read


def _row(folder: Path, **more: object) -> dict:
    path = folder / "bottleneck" / "additive-reverse-s2" / "result.json"
    row = json.loads(path.read_text()) | more
    row["cost"] |= {"cost/tokens_per_second": 5000.0}
    row["metrics"] |= {"test/forced/gold_mass": 0.25, "test/forced/aer": 0.5, "test/alignment_accuracy": None}
    row["by_length"] = [{**bucket, "forced/alignment_accuracy": 0.125} for bucket in row["by_length"]]
    return row


def test_a_run_shows_forced_alignment_its_unit_its_data_and_the_source_of_times(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    fake_runs.make(tmp_path, full=True)
    row = _row(tmp_path, length_unit="words", data={"train": "1f9c2a0b57de"})
    terminal_report.show(row, tmp_path / "bottleneck" / row["id"], Path("runs"))
    output = capsys.readouterr().out
    words = " ".join(output.replace("│", " ").split())
    assert "source length (words) token accuracy exact match alignment, forced BLEU lowercased" in words
    assert "accuracy, forced 32.0%" in words
    assert "… free, up to the first difference absent" in words
    assert "12.5%" in output
    # The buckets of training, up to 10, stand above the line, the longer ones below it.
    lengths = [line.strip("│ ").split()[0] for line in output.split("source length")[1].splitlines()[1:8]]
    assert lengths == ["5", "10", "─", "15", "20", "30", "40"]
    assert "─ trained to 10 ─" in output
    assert "data train 1f9c2a0b57de" in words
    assert "tokens/s *" in words
    assert "* wall time, shared machine: not comparable" in words


def test_a_sweep_shows_its_data_and_runs_of_older_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "single"
    cell = fake_runs.planned(
        "new-s1", {"task": "multi30k", "attention": "dot"}, 1, {"data.test": "1f9c2a0b57de" + 52 * "0"}
    )
    fake_runs.finish(folder, cell, {"test/token_accuracy": 0.5})
    fake_runs.finish(folder, cell | {"id": "old-s1"}, {"test/token_accuracy": 0.0}, version=None)
    fake_runs.write_plan(folder, [cell])
    terminal_report.compare(read(tmp_path), "single")
    output = capsys.readouterr().out
    assert "50.0 %" in output
    assert "data  multi30k: test 1f9c2a0b57de (1 run)" in output
    assert "1 run was made by older code" in output
    assert f"rm -r {folder / 'old-s1'}" in output
