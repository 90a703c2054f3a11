"""Gains over a fixed context: between runs that differ only on the attention axis; without such runs, a reason."""

from pathlib import Path
from typing import Any

import fake_runs
import pandas as pd
import pytest

from softlookup.analysis import csv_export
from softlookup.analysis.effect_table import effect_tables
from softlookup.analysis.load import read
from softlookup.analysis.pairs import against_fixed

SEEDS = range(1, 7)


def _rows(runs_dir: Path, *variants: dict[str, Any]) -> pd.DataFrame:
    """Write six seeds of each variant; seed s adds s hundredths to the accuracy."""
    folder = runs_dir / "single"
    cells = []
    for variant in variants:
        choices = {"task": "reverse", "encoder": "gru", "attention": variant["attention"], **variant.get("choices", {})}
        for seed in variant.get("seeds", SEEDS):
            name = f"{variant.get('name', variant['attention'])}-s{seed}"
            cell = fake_runs.planned(name, choices, seed, variant.get("settings"), variant.get("tuned", ()))
            metrics = {"test/token_accuracy": variant["accuracy"] + 0.01 * seed, "validation/loss": variant.get("loss")}
            fake_runs.finish(folder, cell, metrics)
            cells.append(cell)
    fake_runs.write_plan(folder, cells)
    return read(runs_dir)


def _gains(rows: pd.DataFrame) -> dict[str, str]:
    (table, *_) = effect_tables(rows)
    at = table.columns.index("gain at all lengths")
    return {line[0]: " ".join(filter(None, line[at : at + 2])) for line in table.lines}


def test_a_fixed_context_of_another_budget_is_no_baseline_and_the_table_says_why(tmp_path: Path) -> None:
    rows = _rows(
        tmp_path,
        {"attention": "fixed_final", "accuracy": 0.2, "choices": {"budget": 1000}},
        {"attention": "additive", "accuracy": 0.6},
    )
    (row,) = against_fixed(rows).to_dict("records")
    assert (row["baseline"], row["pairs"], row["unpaired"]) == (
        "", 0, "no fixed context with the same settings (fixed_final · budget=1000 differs in budget)",
    )  # fmt: skip
    assert pd.isna(row["difference"])
    assert pd.isna(row["p"])
    assert _gains(rows)["additive"] == row["unpaired"]
    assert csv_export.tables(rows)["summary.csv"].set_index("variant")["unpaired"]["additive"] == row["unpaired"]


def test_tuned_rates_belong_to_the_attention_axis(tmp_path: Path) -> None:
    rate = {"optimizer.rate": 0.024}
    rows = _rows(
        tmp_path,
        {"attention": "fixed_final", "accuracy": 0.2, "settings": rate, "tuned": ["optimizer.rate"]},
        {"attention": "additive", "accuracy": 0.6, "tuned": ["optimizer.rate"], "seeds": SEEDS[:5]},
    )
    (row,) = against_fixed(rows).to_dict("records")
    assert (row["variant"], row["baseline"], row["pairs"], row["unpaired"]) == ("additive", "fixed_final", 5, "")
    assert row["difference"] == pytest.approx(0.4)
    assert row["p"] == row["smallest_p"] == 2 / 32
    assert _gains(rows)["additive"] == "+40.0 [40.0, 40.0]"
    assert against_fixed(rows, "test/bleu_lowercased").empty
    # Without a known training length the fixed context has its row, too.
    assert [line[0] for line in effect_tables(rows)[0].lines] == ["additive", "fixed_final"]


def test_a_gain_at_the_default_rate_over_a_tuned_baseline_is_marked(tmp_path: Path) -> None:
    rate = {"optimizer.rate": 0.024}
    rows = _rows(
        tmp_path,
        {"attention": "fixed_final", "accuracy": 0.2, "settings": rate, "tuned": ["optimizer.rate"]},
        {"attention": "additive", "accuracy": 0.6},
    )
    (row,) = against_fixed(rows).to_dict("records")
    assert row["untuned"] == "optimizer.rate"
    assert effect_tables(rows)[0].notes[-1] == "additive: untuned (optimizer.rate was searched for fixed_final only)"


@pytest.mark.parametrize(
    ("settings", "differs"),
    [
        ({"optimizer.rate": 0.024}, "optimizer.rate"),
        ({"data.test": "1f9c2a0b57de"}, "data.test"),
        ({"decoder._target_": "softlookup.decoder.luong.Luong"}, "decoder"),
        ({"a": 1, "b": 2, "c": 3, "d": 4}, "a, b, c, …"),
    ],
)
def test_any_other_difference_prevents_pairing(tmp_path: Path, settings: dict[str, Any], differs: str) -> None:
    rows = _rows(
        tmp_path,
        {"attention": "fixed_final", "accuracy": 0.2, "settings": settings},
        {"attention": "additive", "accuracy": 0.6},
    )
    assert _gains(rows)["additive"] == (f"no fixed context with the same settings (fixed_final differs in {differs})")


def test_parameters_of_the_attention_belong_to_its_axis(tmp_path: Path) -> None:
    own = {"attention.score.width": 7, "attention.normalizer._target_": "softlookup.normalizer.softmax.Softmax"}
    rows = _rows(
        tmp_path,
        {"attention": "fixed_final", "accuracy": 0.2},
        {"attention": "additive", "accuracy": 0.6, "settings": own},
    )
    assert _gains(rows)["additive"] == "+40.0 [40.0, 40.0]"


def test_the_baseline_is_chosen_by_validation_loss(tmp_path: Path) -> None:
    """The baseline of higher test accuracy has the higher validation loss and is not chosen."""
    fixed = [("fixed_final", 0.2, 1.5), ("fixed_mean", 0.4, 1.7), ("fixed_max", 0.3, None)]
    rows = _rows(
        tmp_path,
        *({"attention": name, "accuracy": value, "loss": loss} for name, value, loss in fixed),
        {"attention": "additive", "accuracy": 0.6},
    )
    (row,) = against_fixed(rows).to_dict("records")
    assert row["baseline"] == "fixed_final"
    assert row["difference"] == pytest.approx(0.4)


def test_several_baselines_without_a_validation_loss_are_not_chosen_from(tmp_path: Path) -> None:
    rows = _rows(
        tmp_path,
        *({"attention": name, "accuracy": 0.2} for name in ("fixed_final", "fixed_mean")),
        {"attention": "additive", "accuracy": 0.6},
    )
    assert _gains(rows)["additive"] == "no validation loss to choose among fixed_final, fixed_mean"


def test_baselines_without_a_common_seed_are_reported(tmp_path: Path) -> None:
    rows = _rows(
        tmp_path,
        {"attention": "fixed_final", "accuracy": 0.2, "seeds": [7, 8]},
        {"attention": "additive", "accuracy": 0.6},
    )
    assert _gains(rows)["additive"] == "no seed in common with fixed_final"


@pytest.mark.parametrize(
    ("tokens", "rejected"), [({"additive": 900}, True), ({"additive": 900, "fixed_final": 900}, False)]
)
def test_runs_that_patience_ended_at_different_token_counts_are_not_paired(
    tmp_path: Path, tokens: dict[str, int], rejected: bool
) -> None:
    folder, cells = tmp_path / "single", []
    for attention in ("additive", "fixed_final"):
        cell = fake_runs.planned(f"{attention}-s1", {"task": "reverse", "encoder": "gru", "attention": attention}, 1)
        early = attention in tokens
        metrics = {"test/token_accuracy": 0.5, "validation/loss": 1.0, "train/tokens": tokens.get(attention, 1000)}
        fake_runs.finish(folder, cell, metrics, ended="patience" if early else "budget")
        cells.append(cell)
    fake_runs.write_plan(folder, cells)
    rows = read(tmp_path)
    (gain,) = against_fixed(rows).to_dict("records")
    why = "other numbers of target tokens than fixed_final: patience ended runs early"
    assert (gain["pairs"], gain["unpaired"]) == ((0, why) if rejected else (1, ""))
    assert rows.set_index("id")["reason"]["additive-s1"].startswith("ended by patience after 900 target tokens")


def _matched(reference: str, widths: int, **more: Any) -> dict[str, Any]:
    found = {"cost": "parameters", "to": "additive", "reference": reference, "length": None, "residual": 0.001}
    return {"matched": found | {"configured": {"decoder.width": 128}, "widths": {"decoder.width": widths}} | more}


def test_solved_widths_belong_to_the_attention_and_pair_with_the_reference_alone(tmp_path: Path) -> None:
    folder, cells = tmp_path / "single", []
    width = {"decoder.width": 128}
    additive = fake_runs.planned("additive-s1", {"task": "reverse", "attention": "additive"}, 1, width)
    key = additive["variant_key"]
    variants = [
        ("fixed_final", 139, _matched(key, 139)),
        ("additive", 128, {}),
        ("general", 133, _matched(key, 133)),
        ("dot", 128, {}),  # not matched
        ("cosine", 133, _matched("another", 133)),  # matched to another reference
        ("concat", 133, {}),  # such a width was chosen, not solved
    ]
    for name, wide, record in variants:
        cell = fake_runs.planned(f"{name}-s1", {"task": "reverse", "attention": name}, 1, {"decoder.width": wide})
        metrics = {"test/token_accuracy": 0.2, "validation/loss": 1.0}
        fake_runs.finish(folder, cell | record, metrics)
        cells.append(cell | record)
    fake_runs.write_plan(folder, cells)
    rows = read(tmp_path)
    found = {row["variant"]: row["unpaired"] for row in against_fixed(rows).to_dict("records")}
    why = "no fixed context with the same settings (fixed_final differs in {})"
    assert found == {
        "additive": "", "general": "", "dot": why.format("match"), "cosine": why.format("match"),
        "concat": why.format("decoder.width, match"),
    }  # fmt: skip
    assert "fixed_final decoder.width=139 (parameters of additive +0.10%)" in effect_tables(rows)[0].notes[-1]
    table = csv_export.tables(rows)["runs.csv"].set_index("variant")
    assert table["matched"]["general"] == "decoder.width=133 (parameters of additive +0.10%)"
