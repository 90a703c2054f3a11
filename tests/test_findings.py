"""The findings: written between marks, twice the same, from runs of one commit."""

import json
from pathlib import Path

import fake_runs
import pytest

import findings
from softlookup.analysis.effect_table import effect_tables
from softlookup.analysis.effects import alternatives
from softlookup.analysis.findings import Origin, table_rows
from softlookup.analysis.headline import headlines
from softlookup.analysis.inference import bootstrap_interval, t_interval
from softlookup.analysis.load import read
from softlookup.errors import UserError
from softlookup.runs import provenance

COMMIT = "d2cd37c14b12a40e4fcd44b613a72f2780e1d662"
SOURCE = "897caceafbd4"  # of that commit, as the runs that were made with it recorded it
ORIGIN = {"commit": COMMIT, "dirty": False, "source": SOURCE, "finished": "2026-11-27T10:00:00+00:00"}
TEXT = """# Findings

| question | answer |
|---|---|
| <!-- rows:curriculum -->not measured yet<!-- /rows:curriculum --> |
| <!-- rows:scores -->as it was<!-- /rows:scores --> |

<!-- findings:curriculum --><!-- /findings:curriculum -->

By hand.

<!-- findings:scores -->as it was<!-- /findings:scores -->
"""
SEEDS = range(1, 6)
# Validation loss, and what is added to the accuracy of the first choice; its squared seed is a thousandth.
CHOICES = {"fixed": (0.5, 0.0), "linear": (0.4, 0.1), "staged": (0.6, 0.3003)}


def house(folder: Path, **changed: object) -> Path:
    """Write the documents, and an experiment that compares curricula of one attention. One run never started."""
    cells, experiment = [], folder / "runs" / "curriculum"
    for curriculum, (loss, more) in CHOICES.items():
        for seed in SEEDS:
            choices = {"task": "reverse", "encoder": "gru", "attention": "additive", "curriculum": curriculum}
            cell = fake_runs.planned(f"{curriculum}-s{seed}", choices, seed)
            cells.append(cell)
            value = 0.2 + more + (seed**2 / 1000 if more else 0)
            bucket = {"low": 20, "high": 20, "count": 7, "token_accuracy": value, "forced/alignment_accuracy": 0.75}
            origin = ORIGIN | {"command": "train.py -m experiment=curriculum workers=2"} | changed
            metrics = {"test/token_accuracy": value, "validation/loss": loss}
            if (curriculum, seed) != ("staged", 5):
                fake_runs.finish(experiment, cell, metrics, by_length=[bucket], longest=10, provenance=origin)
    fake_runs.write_plan(experiment, cells)
    (folder / "experiments").mkdir()
    (folder / "experiments" / "README.md").write_text(TEXT)
    (folder / "README.md").write_text("No marks.\n")
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in [folder / "README.md", *(folder / "experiments").iterdir()]}


def test_only_what_is_between_the_marks_is_written_and_twice_the_same(tmp_path: Path) -> None:
    folder = house(tmp_path)
    findings.written("curriculum", folder / "runs", folder)
    first = files(folder)
    findings.written("curriculum", folder / "runs", folder)
    assert files(folder) == first
    assert first["curriculum.png"].startswith(b"\x89PNG")
    text = (folder / "experiments" / "README.md").read_text()
    (before, inside), (kept, after) = (part.split(mark) for part, mark in zip(
        text.split("<!-- /rows:curriculum -->"),
        ("<!-- rows:curriculum -->", "<!-- /findings:curriculum -->"), strict=True))  # fmt: skip
    assert TEXT.startswith(before)
    assert TEXT.endswith(after)
    assert " |\n| <!-- rows:scores -->as it was<!-- /rows:scores --> |\n" in kept
    gains = [0.1 + seed**2 / 1000 for seed in SEEDS]
    t, bootstrap = (
        "[{:.1f}, {:.1f}]".format(*(100 * end for end in of(gains))) for of in (t_interval, bootstrap_interval)
    )
    assert inside == (
        "[curriculum](#curriculum): Does a curriculum of growing source lengths improve attention, at equal numbers of "
        "target tokens? | reverse: linear against fixed, token accuracy at 20 tokens, twice the training length "
        f"(lowest validation loss of 2 alternatives) | +11.1 points {t}, bootstrap {bootstrap} | 5 seeds of 400,000 "
        "target tokens | 0.062, exploratory | `make sweep EXPERIMENT=curriculum` | 2026-11-27 | d2cd37c"
    )
    assert "Runs without a result: 1 missing, of 15 planned runs." in kept
    assert "| staged | 4 of 5 | " in kept


def test_the_variants_of_an_experiment_without_a_fixed_context_are_compared_with_the_first(tmp_path: Path) -> None:
    rows = read(house(tmp_path) / "runs")
    assert headlines(rows) == []
    found = alternatives(rows).set_index("variant")
    assert set(found["reference"]) == {"fixed"}
    assert found["pairs"].to_dict() == {"staged": 4, "linear": 5}
    assert found["difference"].to_dict() == pytest.approx({"linear": 0.111, "staged": 0.3078})
    (table,) = effect_tables(rows)
    assert [line[:3] for line in table.lines] == [
        ["fixed", "5", "20.0 ± 0.0 %"], ["linear", "5", "31.1 ± 1.0 %"], ["staged", "4 of 5", "50.8 ± 0.7 %"],
    ]  # fmt: skip
    assert table.columns[3] == "alignment"
    assert table.notes[0].endswith("; alignment: alignment accuracy (teacher forcing), all lengths")


def test_attentions_are_listed_with_their_alignment_without_and_with_the_best_offset(tmp_path: Path) -> None:
    cells = []
    for attention, aligned, shifted in (("additive", 0.5, 0.5), ("dot", 0.25, 0.75)):
        cell = fake_runs.planned(f"{attention}-s1", {"task": "copy", "encoder": "gru", "attention": attention}, 1)
        measured = {"token_accuracy": 0.5, "forced/alignment_accuracy": aligned, "forced/best_offset_accuracy": shifted}
        ranges = [{"range": "trained", "low": 3, "high": 10, "count": 7, **measured}]
        metrics = {"test/token_accuracy": 0.5, "validation/loss": 1.0}
        fake_runs.finish(tmp_path / "scores", cell, metrics, ranges=ranges, longest=10)
        cells.append(cell)
    fake_runs.write_plan(tmp_path / "scores", cells)
    row = table_rows(read(tmp_path), [], "", Origin("make sweep", "2026-11-27", "d2cd37c"))
    assert "≤ 10 tokens, trained: dot 25.0 % and 75.0 %, additive 50.0 % and 50.0 % | +0.0 points | 1 seed of" in row


def test_variants_that_differ_in_two_parts_or_in_data_are_not_compared_with_the_first(tmp_path: Path) -> None:
    base = {"task": "reverse", "encoder": "gru", "attention": "additive", "curriculum": "fixed"}
    others = ({}, {"attention": "dot"}, {"curriculum": "linear", "attention": "dot"}, {"task.longest": 7})
    cells = [fake_runs.planned(f"{place}-s1", base | other, 1) for place, other in enumerate(others)]
    for cell in cells:
        fake_runs.finish(tmp_path / "single", cell, {"test/token_accuracy": 0.5})
    fake_runs.write_plan(tmp_path / "single", cells)
    assert alternatives(read(tmp_path)).groupby("unpaired")["pairs"].sum().to_dict() == {
        "": 1,
        "additive · fixed differs in task.longest": 0,
        "additive · fixed differs in attention, curriculum": 0,
    }


@pytest.mark.parametrize(
    ("changed", "message"),
    [({"dirty": True, "source": "0" * 12}, "a tree that differs from commit d2cd37c"), ({"commit": None}, "checkout")],
)
def test_runs_of_code_that_is_in_no_commit_are_refused(tmp_path: Path, changed: dict, message: str) -> None:
    folder = house(tmp_path, **changed)
    before = files(folder)
    with pytest.raises(UserError, match=message):
        findings.written("curriculum", folder / "runs", folder)
    assert files(folder) == before


def test_runs_of_several_commits_name_them_in_the_row(tmp_path: Path) -> None:
    folder = house(tmp_path)
    path = folder / "runs" / "curriculum" / "fixed-s1" / "result.json"
    row = json.loads(path.read_text())
    path.write_text(
        json.dumps(row | {"provenance": row["provenance"] | {"commit": "e" * 40, "finished": "2026-11-28"}})
    )
    findings.written("curriculum", folder / "runs", folder)
    assert "| 2026-11-27 to 2026-11-28 | d2cd37c, eeeeeee<!-- /rows:" in (folder / "experiments/README.md").read_text()


def test_a_document_without_the_marks_is_left_alone(tmp_path: Path) -> None:
    folder = house(tmp_path)
    (folder / "experiments" / "README.md").write_text(TEXT.replace("<!-- /findings:curriculum -->", ""))
    before = files(folder)
    with pytest.raises(UserError, match="expected <!-- findings:curriculum --> and after it"):
        findings.written("curriculum", folder / "runs", folder)
    assert files(folder) == before


def test_the_digest_of_the_package_in_a_commit_is_the_one_that_its_runs_recorded() -> None:
    if provenance.source_at(COMMIT) is None:
        pytest.skip("the commit is not in this checkout")
    assert provenance.source_at(COMMIT) == SOURCE
    assert provenance.source_at("0" * 40) is None
