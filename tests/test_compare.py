import math
import subprocess
import sys
from itertools import product

import fake_runs
import numpy as np
import pytest

from softlookup.analysis.inference import sign_flip
from softlookup.analysis.load import alignments, by_length, curves, read
from softlookup.analysis.statistics import counts, summary
from softlookup.analysis.tables import shown, summary_table
from softlookup.errors import UserError


@pytest.fixture
def rows(tmp_path):
    return read(fake_runs.make(tmp_path))


def test_every_planned_cell_has_a_row_with_its_reason(rows):
    assert len(rows) == 18
    assert rows["counted"].sum() == 16
    failed = rows[rows["status"] == "failed"].iloc[0]
    assert failed["reason"] == f"ValueError: {fake_runs.SCRIPT}"
    missing = rows[rows["status"] == "missing"].iloc[0]
    assert (missing["task"], missing["variant"], missing["seed"]) == (fake_runs.TASKS[1], fake_runs.SCRIPT, 3)
    assert missing["reason"] == "planned, never started"
    assert math.isnan(missing["test/token_accuracy"])


def test_counts_by_status(rows):
    table = counts(rows)
    assert list(table) == ["planned", "finished", "failed", "diverged", "missing"]
    assert table.loc["bottleneck"].tolist() == [18, 16, 1, 0, 1]


def test_alignment_of_a_fixed_context_is_absent(rows):
    fixed = rows[rows["fixed"]]
    assert set(fixed["variant"]) == {"fixed_mean"}
    assert fixed["test/alignment_accuracy"].isna().all()
    measures = by_length(rows).groupby("variant")["measure"].unique()
    assert "alignment_accuracy" not in measures["fixed_mean"]
    assert "alignment_accuracy" in measures["additive"]
    assert alignments(fixed.iloc[0]["folder"]) == []


def test_by_length_equals_the_written_buckets(rows):
    buckets = by_length(rows)
    cell = buckets[(buckets["variant"] == "additive") & (buckets["seed"] == 2) & (buckets["task"] == "reverse")]
    got = cell[cell["measure"] == "token_accuracy"].set_index("high")["value"]
    assert got.to_dict() == {n: fake_runs.accuracy(1, 2, n) for n in (5, 10, 15, 20, 30, 40)}


def test_curves_skip_a_truncated_line_and_keep_changes_of_length(rows):
    points = curves(rows)
    one = points[(points["variant"] == "additive") & (points["seed"] == 1) & (points["task"] == "reverse")]
    assert one["step"].max() == 1000
    lengths = one[one["measure"] == "curriculum/length"]
    assert lengths[["step", "value"]].to_numpy().tolist() == [[0, 4], [500, 10], [1000, 10]]
    assert len(one[one["measure"] == "validation/token_accuracy"]) == 11


def test_alignments_have_words_and_gold(rows):
    folder = rows[rows["variant"] == "additive"].iloc[0]["folder"]
    first, second = alignments(folder)
    assert first.source[0] == "<b>die</b>"
    assert first.weights.shape == first.gold.shape == (6, 6)
    assert len(second.target) == 11
    assert first.weights.sum(1) == pytest.approx(np.ones(6))


def test_summary_counts_seeds_and_leaves_failed_ones_out(rows):
    table = summary(rows).set_index(["task", "variant"])
    whole, short = table.loc[("reverse", "additive")], table.loc[("reverse", fake_runs.SCRIPT)]
    assert (whole["n"], whole["planned"], short["n"], short["planned"]) == (3, 3, 2, 3)
    assert whole["test/token_accuracy"] == pytest.approx(0.61)  # 0.60, 0.61, 0.62
    assert whole["test/token_accuracy/std"] == pytest.approx(0.01)
    assert short["test/token_accuracy"] == pytest.approx(0.705)  # seeds 2 and 3: 0.70, 0.71


def test_runs_outside_the_plan_are_listed_and_not_averaged(tmp_path):
    folder = fake_runs.make(tmp_path) / "bottleneck"
    cell = fake_runs.planned("stray", {"task": "reverse", "encoder": "gru", "attention": "additive"}, 1)
    fake_runs.finish(folder, cell | {"id": "stray-s1-"}, {"test/token_accuracy": 0.0})
    rows = read(tmp_path)
    stray = rows[rows["id"] == "stray-s1-"].iloc[0]
    assert not stray["counted"]
    assert "not in the plan" in stray["reason"]
    means = summary(rows).set_index(["task", "variant"])["test/token_accuracy"]
    assert means["reverse", "additive"] == pytest.approx(0.61)
    assert counts(rows).loc["bottleneck", "not counted"] == 1


def _finish(folder, name, choices, seed, settings=None, accuracy=0.5, tuned=(), **metrics):
    """Write a finished run of experiment `single`, which has no plan."""
    cell = fake_runs.planned(f"{name}-s{seed}", choices, seed, settings, tuned)
    fake_runs.finish(folder / "single", cell, {"test/token_accuracy": accuracy, **metrics})
    return cell


def test_a_result_that_cannot_be_read_is_not_finished(tmp_path):
    for name, seed in (("a", 1), ("b", 2)):
        _finish(tmp_path, name, {"task": "copy", "attention": "dot"}, seed)
    (tmp_path / "single" / "a-s1" / "result.json").write_text('{"id": "a", "sta')
    (tmp_path / "single" / "b-s2" / "state.json").write_text('{"state": "running"}')
    assert read(tmp_path).set_index("id")["status"].to_dict() == {"a-s1": "missing", "b-s2": "preempted"}


def test_a_plan_that_cannot_be_read_is_reported(tmp_path):
    (fake_runs.make(tmp_path) / "bottleneck" / "plan.json").write_text("{")
    with pytest.raises(UserError, match=r"plan\.json"):
        read(tmp_path)


def test_sign_flip_by_hand():
    # 1 + 2 - 3 = 0, which all 8 sign patterns reach. 1 + 2 + 4 is reached by 2 of 8: itself and its negative.
    assert sign_flip([1, 2, -3]) == (1.0, 0.25)
    assert sign_flip([1, 2, 4]) == (0.25, 0.25)
    # |5 - 1| = 4; the 8 sums of ±1 ±2 ±3 are 6, 4, 2, 0, 0, -2, -4, -6, and four of them reach 4.
    assert sign_flip([-1, 2, 3]) == (0.5, 0.25)
    assert sign_flip([0.1] * 6) == (2 / 64, 2 / 64)
    assert sign_flip([2.0]) == (1.0, 1.0)
    assert math.isnan(sign_flip([])[0])


def test_sign_flip_samples_above_twenty_pairs():
    p, smallest = sign_flip([0.1] * 23)
    assert p == smallest == pytest.approx(1e-5, rel=0.01)


def test_sign_flip_equals_full_enumeration():
    differences = np.random.default_rng(7).normal(0.3, 1, 7)
    sums = [abs(np.dot(signs, differences)) for signs in product((1, -1), repeat=7)]
    assert sign_flip(differences)[0] == np.mean(np.array(sums) >= abs(differences.sum()) - 1e-12)


def test_tables_show_absent_measures_missing_runs_and_seed_counts(rows):
    columns, lines = summary_table(rows)
    by_variant = {line[1]: dict(zip(columns, line, strict=True)) for line in lines if line[0] == "reverse"}
    assert by_variant["fixed_mean"]["alignment accuracy (teacher forcing)"] == "absent"
    assert by_variant[fake_runs.SCRIPT]["seeds"] == "2 of 3"
    assert shown("cost/peak_bytes", 2_500_000) == "2.5 MB"


def test_a_missing_folder_of_runs_is_reported_with_a_remedy(tmp_path):
    with pytest.raises(UserError, match="make sweep"):
        read(tmp_path / "nowhere")


def test_analysis_and_charts_never_import_torch():
    code = "import sys, softlookup.dashboard.page, softlookup.dashboard.static_figure; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
