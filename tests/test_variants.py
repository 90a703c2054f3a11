"""Variants and their names: runs that differ in anything but the seed are different variants."""

from pathlib import Path
from typing import Any

import fake_runs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from softlookup.analysis import csv_export
from softlookup.analysis.load import by_length, read
from softlookup.analysis.statistics import summary
from softlookup.analysis.tables import data_lines, summary_table
from softlookup.analysis.variant_labels import Variant, labels
from softlookup.dashboard import page, page_data

TEXT = {"task": "multi30k", "encoder": "gru", "attention": "additive"}
DIGESTS = {name: fake_runs.key_of({"data": name}) + 52 * "0" for name in "ABC"}


def _data(train: str, test: str | None = None) -> dict[str, str]:
    return {"data.train": DIGESTS[train], "data.validation": DIGESTS["C"], "data.test": DIGESTS[test or train]}


def _finished(runs_dir: Path, cells: list[dict[str, Any]], values: list[float], plan: bool = True) -> Path:
    folder = runs_dir / "single"
    if plan:
        fake_runs.write_plan(folder, cells)
    for cell, value in zip(cells, values, strict=True):
        bucket = {"low": 5, "high": 5, "count": 7, "token_accuracy": value}
        fake_runs.finish(folder, cell, {"test/token_accuracy": value}, by_length=[bucket])
    return runs_dir


@pytest.mark.parametrize("plan", [True, False])
def test_two_data_sets_with_two_seeds_each_are_two_variants(tmp_path: Path, plan: bool) -> None:
    cells = [fake_runs.planned(f"{data}-s{seed}", TEXT, seed, _data(data)) for data in "AB" for seed in (1, 2)]
    rows = read(_finished(tmp_path, cells, [0.2, 0.4, 0.6, 0.8], plan))
    assert rows["counted"].all()
    table = summary(rows)
    assert table["variant"].tolist() == sorted(f"additive · data.train={DIGESTS[name][:6]}" for name in "AB")
    assert table[["n", "planned"]].to_numpy().tolist() == [[2, 2]] * 2
    assert sorted(table["test/token_accuracy"]) == pytest.approx([0.3, 0.7])
    # In every output: the printed table, the buckets of charts, the exported tables and the page.
    assert [line[2] for line in summary_table(rows)[1]] == ["2", "2"]
    assert by_length(rows).groupby("variant").size().tolist() == [2, 2]
    assert csv_export.tables(rows)["summary.csv"]["n"].tolist() == [2, 2]
    assert page.render(rows).count('"n":2,"planned":2') == 2


def test_runs_on_a_changed_test_set_are_not_averaged_with_the_old_ones(tmp_path: Path) -> None:
    cells = [
        fake_runs.planned("old-s1", TEXT, 1, _data("A", "A")),
        fake_runs.planned("new-s1", TEXT, 1, _data("A", "B")),
        fake_runs.planned("new-s2", TEXT, 2, _data("A", "B")),
    ]
    rows = read(_finished(tmp_path, cells, [0.9, 0.1, 0.3]))
    means = summary(rows).set_index("variant")["test/token_accuracy"].to_dict()
    old, new = (f"additive · data.test={DIGESTS[name][:6]}" for name in "AB")
    assert means == pytest.approx({old: 0.9, new: 0.2})
    digests = [f"train {DIGESTS['A'][:12]}, validation {DIGESTS['C'][:12]}, test {DIGESTS[test][:12]}" for test in "AB"]
    assert sorted(data_lines(rows)) == sorted([f"multi30k: {digests[0]} (1 run)", f"multi30k: {digests[1]} (2 runs)"])
    assert sorted(page_data.payload(rows)["experiments"][0]["runs"]["data"]) == sorted([digests[0], *[digests[1]] * 2])


def test_runs_that_differ_only_in_budget_are_different_variants(tmp_path: Path) -> None:
    copy = {"task": "copy", "encoder": "gru", "attention": "dot"}
    cells = [fake_runs.planned(f"{budget}-s1", copy | {"budget": budget}, 1) for budget in (1000, 2000)]
    cells.append(fake_runs.planned("default-s1", copy, 1))
    rows = read(_finished(tmp_path, cells, [0.1, 0.2, 0.3]))
    assert dict(zip(rows["id"], rows["variant"], strict=True)) == {
        "1000-s1": "budget=1000", "2000-s1": "budget=2000", "default-s1": "dot",
    }  # fmt: skip
    # Without an override (a changed experiment file) the setting itself is in the name.
    quiet = [fake_runs.planned(f"{budget}-s1", copy, 1, {"budget": budget}) for budget in (1000, 2000)]
    rows = read(_finished(tmp_path / "quiet", quiet, [0.1, 0.2]))
    assert rows["variant"].tolist() == ["dot · budget=1000", "dot · budget=2000"]


def test_one_variant_requested_in_two_ways_is_one_variant(tmp_path: Path) -> None:
    copy = {"task": "copy", "encoder": "gru", "attention": "dot"}
    cells = [fake_runs.planned("a-s1", copy | {"budget": 400_000}, 1), fake_runs.planned("b-s2", copy, 2)]
    rows = read(_finished(tmp_path, cells, [0.1, 0.2]))
    assert rows["variant"].tolist() == ["dot", "dot"]
    assert summary(rows)["n"].tolist() == [2]


def _named(*variants: tuple[dict[str, Any], dict[str, Any]]) -> list[str]:
    return list(labels({f"{i:012x}": Variant(*variant) for i, variant in enumerate(variants)}).values())


def test_a_name_consists_only_of_what_varies() -> None:
    crossed = [
        ({"task": "copy", "encoder": encoder, "attention": "dot", "attention.heads": heads}, {"attention.heads": heads})
        for encoder in ("gru", "lstm")
        for heads in (1, 4)
    ]
    assert _named(*crossed) == [
        f"{encoder} · attention.heads={heads}" for encoder in ("gru", "lstm") for heads in (1, 4)
    ]
    # A paper or an attention implies its other choices; without differences the attention is the name.
    papers = [
        ({"encoder": encoder, "attention": attention, "paper": paper, "size": "small"}, {})
        for paper, encoder, attention in (("cho2014", "cho2014", "fixed_final"), ("bahdanau2014", "gru", "additive"))
    ]
    assert _named(*papers) == ["cho2014", "bahdanau2014"]
    alone = ({"attention": "additive", "normalizer": "softmax"}, {}), ({"attention": "fixed_mean"}, {})
    assert _named(*alone) == ["additive", "fixed_mean"]
    assert _named(alone[0]) == ["additive"]
    # A choice that is a value and not a part is named with its key.
    tied = ({"attention": "dot", "tying": "all"}, {"tying": "all"}), ({"attention": "dot"}, {"tying": "none"})
    assert _named(*tied) == ["tying=all", "dot"]


def test_names_have_few_settings_and_digests_come_last_and_short() -> None:
    dot = {"attention": "dot"}
    one = [(dot, {"a.b": i, "longer": -i, "same": 7, "data.test": f"{i}{63 * '0'}"}) for i in range(3)]
    assert _named(*one) == ["dot · a.b=0", "dot · a.b=1", "dot · a.b=2"]
    two = [(dot, {"x": x, "y": y, "data.test": "ab"}) for x in (1, 2) for y in (1, 2)]
    assert _named(*two) == [f"dot · x={x} · y={y}" for x in (1, 2) for y in (1, 2)]
    data = [(dot, {"data.test": "1f9c2a0" + end}) for end in ("b0", "c0", "c1")]
    assert _named(*data) == [f"dot · data.test=1f9c2a0{end}" for end in ("b0", "c0", "c1")]
    parts = [(dot, {"optimizer._target_": "softlookup.optimizer.adam.Adam"}), (dot, {})]
    assert _named(*parts) == ["dot · optimizer=Adam", "dot · no optimizer"]


VALUE = st.sampled_from([1, 2, True, None, "1", "a", "a · b=1"])
NAME = st.sampled_from(["attention", "encoder", "paper", "budget", "b", "data.test", "x.y", "z._target_"])
MAPPING = st.dictionaries(NAME, VALUE, max_size=4)


@given(variants=st.lists(st.builds(Variant, MAPPING, MAPPING), max_size=7))
def test_no_two_variants_have_the_same_name(variants: list[Variant]) -> None:
    found = labels({f"{i:012x}": variant for i, variant in enumerate(variants)})
    assert len(set(found.values())) == len(variants)


def test_a_continued_run_is_named_in_words() -> None:
    variants = {
        name: Variant({"attention": "dot"}, settings)
        for name, settings in {"a": {}, "b": {"continued.budget": 500}}.items()
    }
    assert labels(variants) == {"a": "dot · in one go", "b": "dot · continued at 500"}
