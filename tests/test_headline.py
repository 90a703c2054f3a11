"""The sentence of each task: which attention, which length, which gain, which price, and how sure."""

from itertools import product
from pathlib import Path

import fake_runs
import numpy as np
import pandas as pd
import pytest

from softlookup.analysis.effect_table import effect_tables
from softlookup.analysis.effects import exploratory, primary, profiles
from softlookup.analysis.findings import section
from softlookup.analysis.headline import headlines
from softlookup.analysis.inference import t_interval
from softlookup.analysis.load import read
from softlookup.analysis.progress import decided
from softlookup.analysis.spans import order, span_text, spans

LONGEST = 10
# Validation loss, gain on the test set, peak memory.
VARIANTS = {"fixed_mean": (0.9, 0.0, 2e6), "general": (0.4, 0.3, 3e6), "dot": (0.5, 0.5, 5e6)}


def written(runs_dir: Path, seeds: int, longest: int = LONGEST) -> pd.DataFrame:
    fake_runs.write_plan(runs_dir / "single", cells(runs_dir / "single", seeds, longest))
    return read(runs_dir)


def cells(folder: Path, seeds: int, longest: int) -> list[dict]:
    """Write one fixed context and two attentions. `dot` is better on the test set, `general` in validation; at 21
    tokens `general` gains 0.3 and a seed's number of thousandths, squared."""
    made = []
    for attention, (loss, gain, peak) in VARIANTS.items():
        choices = {"task": "reverse", "encoder": "gru", "attention": attention}
        for seed in range(1, seeds + 1):
            cell = fake_runs.planned(f"{attention}-{longest}-s{seed}", choices | {"task.longest": longest}, seed)
            beyond = 0.1 + gain + (seed**2 / 1000 if gain else 0)
            accuracies = {5: 0.9, 10: 0.9, 15: beyond + 0.1, 21: beyond, 40: 0.05}
            buckets = [{"low": n, "high": n, "count": 7, "token_accuracy": a} for n, a in accuracies.items()]
            metrics = {"test/token_accuracy": 0.5 + gain, "validation/loss": loss}
            fake_runs.finish(folder, cell, metrics, by_length=buckets, longest=longest, cost={"cost/peak_bytes": peak})
            made.append(cell)
    return made


def test_it_is_about_the_attention_of_the_lowest_validation_loss_at_about_twice_the_training_length(
    tmp_path: Path,
) -> None:
    (sentence,) = headlines(written(tmp_path, 7))
    gains = [0.3 + seed**2 / 1000 for seed in range(1, 8)]
    low, high = (100 * end for end in t_interval(gains))
    assert sentence.startswith(f"reverse: general buys +{100 * np.mean(gains):.1f} points [{low:.1f}, {high:.1f}]")
    assert (
        "of token accuracy at 21 tokens (trained to 10) over fixed_mean (both chosen by validation loss), for 1.50 ×"
        in sentence
    )
    assert sentence.endswith("; 7 seeds of 400,000 target tokens, Holm p = 0.031 of 2")


def test_where_too_few_seeds_could_decide_it_says_how_many_could(tmp_path: Path) -> None:
    (sentence,) = headlines(written(tmp_path, 5))
    assert sentence.endswith(
        "5 seeds of 400,000 target tokens, Holm p = 0.12 of 2: not decided (7 seeds could decide it)"
    )


@pytest.mark.parametrize("longest", [40, 64])
def test_without_a_length_beyond_training_it_is_about_the_whole_test_set(tmp_path: Path, longest: int) -> None:
    (sentence,) = headlines(written(tmp_path, 2, longest))
    assert f"+30.0 points [30.0, 30.0] of token accuracy on the whole test set (trained to {longest})" in sentence


def test_without_a_fixed_context_there_is_no_sentence(tmp_path: Path) -> None:
    rows = written(tmp_path, 2)
    assert headlines(rows[~rows["fixed"]]) == []
    assert headlines(rows.iloc[:0]) == []


def test_each_training_length_has_its_own_sentence(tmp_path: Path) -> None:
    """Of the lengths beyond training 21 is nearest to twice 10, and to twice 15."""
    folder = tmp_path / "single"
    fake_runs.write_plan(folder, [cell for longest in (10, 15) for cell in cells(folder, 7, longest)])
    found = headlines(read(tmp_path))
    assert len(found) == 2
    for longest, sentence in zip((10, 15), found, strict=True):
        assert f"at 21 tokens (trained to {longest})" in sentence
    assert all(sentence.endswith(" of 4: not decided (8 seeds could decide it)") for sentence in found)


def test_every_pair_at_the_primary_length_is_compared_and_the_better_attention_comes_first(tmp_path: Path) -> None:
    """`dot` is 20 points better than `general`; two fixed contexts are not compared."""
    rows = written(tmp_path, 7)
    found = exploratory(rows).set_index(["variant", "reference"])["difference"]
    gain = np.mean([seed**2 / 1000 for seed in range(1, 8)])
    assert found.to_dict() == pytest.approx(
        {("dot", "fixed_mean"): 0.5 + gain, ("general", "fixed_mean"): 0.3 + gain, ("dot", "general"): 0.2}
    )
    assert set(exploratory(rows)["improvement"]) == {1.0}


def test_planned_runs_that_did_not_finish_are_counted_beside_the_figures_that_lack_them(tmp_path: Path) -> None:
    folder = tmp_path / "single"
    made = cells(folder, 7, LONGEST)
    never = {name: fake_runs.planned(f"{name}-s8", made[-1]["choices"] | {"attention": name}, 8) for name in VARIANTS}
    failed = folder / never["dot"]["id"]
    failed.mkdir()
    (failed / "state.json").write_text('{"state": "diverged", "reason": "the loss is nan"}')
    fake_runs.write_plan(folder, [*made, *never.values()])
    rows = read(tmp_path)
    missing = primary(rows).set_index("variant")["missing"]
    assert missing.to_dict() == {"general": "2 missing", "dot": "1 diverged, 1 missing"}
    assert headlines(rows)[0].endswith("of 2; without 2 missing")


def test_spans_hold_every_measured_value_and_only_those(tmp_path: Path) -> None:
    """The whole test set, the lengths up to training and beyond, and each bucket; a bucket may have bounds."""
    folder = tmp_path / "single"
    cell = fake_runs.planned("dot-s1", {"task": "copy", "attention": "dot"}, 1)
    ranges = [{"range": "beyond", "low": 11, "high": 23, "count": 5, "bleu": 3.0, "exact_match": None}]
    bucket = {"low": 11, "high": 13, "count": 2, "bleu": 5.0, "bleu_low": 4.0, "bleu_high": 7.0}
    fake_runs.finish(folder, cell, {"test/bleu": 9.0, "validation/loss": 1.0}, ranges=ranges, by_length=[bucket])
    fake_runs.write_plan(folder, [cell])
    table = spans(read(tmp_path))
    assert table.set_index("span")["value"].to_dict() == {"all": 9.0, "beyond": 3.0, "11–13": 5.0}
    assert table["measure"].unique().tolist() == ["bleu"]
    assert table.iloc[2][["low", "high", "band_low", "band_high"]].tolist() == [11, 13, 4, 7]
    assert order(table) == ["all", "beyond", "11–13"]
    assert [span_text(span, table) for span in order(table)] == [
        "all tokens", "11–23 tokens, beyond", "11–13 tokens",
    ]  # fmt: skip


def test_larger_budgets_are_told_in_the_sentence_of_the_smallest(tmp_path: Path) -> None:
    """At three times the budget the gain is 0.1 smaller, and the loss of the fixed context half as large."""
    folder, made = tmp_path / "single", []
    for budget, gain, loss in ((1000, 0.5, 0.8), (3000, 0.4, 0.4)):
        for attention, seed in product(("fixed_mean", "dot"), (1, 2, 3)):
            choices = {"task": "reverse", "encoder": "gru", "attention": attention, "budget": budget}
            cell = fake_runs.planned(f"{attention}-{budget}-s{seed}", choices, seed)
            value = 0.2 + (gain if attention == "dot" else 0.0)
            bucket = {"low": 20, "high": 20, "count": 7, "token_accuracy": value}
            metrics = {"test/token_accuracy": value, "validation/loss": loss if attention == "fixed_mean" else 0.1}
            fake_runs.finish(folder, cell, metrics, by_length=[bucket], longest=10)
            made.append(cell)
    fake_runs.write_plan(folder, made)
    (sentence,) = headlines(read(tmp_path))
    assert section(read(tmp_path), "x.png").count("**reverse: token accuracy**") == 1
    assert sentence.startswith(
        "reverse: dot · budget=1000 buys +50.0 points [50.0, 50.0] of token accuracy at 20 tokens"
    )
    assert sentence.endswith(
        ". With 3 × the budget +40.0 points [40.0, 40.0] over fixed_mean (3 seeds); there the validation loss of "
        "fixed_mean is 0.50 × that at the first budget"
    )


def test_profiles_count_the_runs_above_each_threshold(tmp_path: Path) -> None:
    """`general` has 0.401 to 0.449 at 21 tokens: every run is above 0.40, and none above 0.45."""
    table = profiles(written(tmp_path, 7))
    mine = table[table["variant"] == "general"].set_index("threshold")["share"]
    assert mine[0.4] == 1
    assert mine[0.45] == 0
    assert mine[0.41] == 4 / 7  # 0.4 + s² / 1000: seeds 4 to 7
    values = [0.4 + seed**2 / 1000 for seed in range(1, 8)]
    assert table[table["variant"] == "general"]["iqm"].iloc[0] == pytest.approx(np.mean(values[1:6]))


def test_a_comparison_without_a_result_counts_in_what_is_decided(tmp_path: Path) -> None:
    """The smallest p of seven seeds is 2/2⁷: times three comparisons 0.047, times four 0.063."""
    folder = tmp_path / "single"
    made = cells(folder, 7, LONGEST)
    never = [fake_runs.planned(f"{name}-s1", made[-1]["choices"] | {"attention": name}, 1) for name in ("new", "newer")]
    fake_runs.write_plan(folder, [*made, *never[:1]])
    assert decided(tmp_path, "single") == "2 of 3 comparisons are decided; the others need at least 7 seeds"
    fake_runs.write_plan(folder, [*made, *never])
    assert decided(tmp_path, "single") == (
        "0 of 4 comparisons are decided; the others need at least 8 seeds (planned are 7): dot on reverse has 7, "
        "general on reverse has 7"
    )
    fake_runs.write_plan(folder, made)
    assert decided(tmp_path, "single") == "2 of 2 comparisons are decided"
    assert decided(tmp_path, "absent") == ""


def test_planned_comparisons_that_did_not_run_count_and_failed_variants_are_named(tmp_path: Path) -> None:
    """Two attentions are done on one task; on another, nothing has run: four comparisons, of which two are known."""
    folder = tmp_path / "single"
    made = cells(folder, 7, LONGEST)
    other = [
        fake_runs.planned(f"{name}-copy-s{seed}", one["choices"] | {"task": "copy", "attention": name}, seed)
        for one in made[:1] for name in VARIANTS for seed in range(1, 8)
    ]  # fmt: skip
    lost = fake_runs.planned("lost-s1", made[0]["choices"] | {"attention": "lost"}, 1)
    fake_runs.write_plan(folder, [*made, *other, lost])
    rows = read(tmp_path)
    assert primary(rows)["family"].tolist() == [5, 5]
    assert primary(rows)["p_holm"].tolist() == pytest.approx([5 * 2 / 2**7] * 2)
    assert not primary(rows)["decided"].any()
    assert "of 5: not decided (8 seeds could decide it)" in headlines(rows)[0]
    assert "lost has no result: 1 missing" in effect_tables(rows)[0].notes


def test_a_fixed_context_with_fewer_seeds_is_no_reference(tmp_path: Path) -> None:
    """Its only run has the lowest validation loss."""
    folder = tmp_path / "single"
    made = cells(folder, 7, LONGEST)
    lone = fake_runs.planned("fixed_max-s1", made[0]["choices"] | {"attention": "fixed_max"}, 1)
    bucket = {"low": 21, "high": 21, "count": 7, "token_accuracy": 0.1}
    metrics = {"test/token_accuracy": 0.5, "validation/loss": 0.01}
    fake_runs.finish(folder, lone, metrics, by_length=[bucket], longest=LONGEST)
    fake_runs.write_plan(folder, [*made, lone])
    assert set(primary(read(tmp_path))["reference"]) == {"fixed_mean"}
