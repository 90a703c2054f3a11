"""Results of damaged run folders: every cell keeps a row, and the reason names the damaged file."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import fake_runs
import numpy as np
import pandas as pd
import pytest
import yaml
from configs import of_parts

from softlookup.analysis import csv_export, load
from softlookup.analysis.statistics import counts, summary
from softlookup.analysis.tables import other_code
from softlookup.contract import Kind
from softlookup.dashboard import page, page_data
from softlookup.errors import UserError
from softlookup.runs import validated_files
from softlookup.runs.run_id import VERSION, run_id, settings, variant_key

NO_JSON = (b"", b'{"id": "a", "sta', b"\xff\xfe\x00\x00", b"[" * 100_000, b'{"id": "\\ud800"}')
NO_MAPPING = (b"[]", b"null", b"3", b'"finished"')


def _folder(tmp_path: Path) -> Path:
    """Return the folder of one run among others: additive on reverse, seed 2."""
    return fake_runs.make(tmp_path) / "bottleneck" / "additive-reverse-s2"


def _row(tmp_path: Path) -> pd.Series:
    return load.read(tmp_path).set_index("id").loc["additive-reverse-s2"]


def _change(path: Path, **changed: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


def test_a_failed_run_outside_a_plan_keeps_its_task_variant_and_seed(tmp_path: Path) -> None:
    for seed, state in ((3, "failed"), (5, "finished")):
        choices = {"task": "reverse", "encoder": "gru", "attention": "additive", "budget": 7 * seed}
        config = replace(of_parts({}, seed=seed, budget=7 * seed), choices=choices)
        folder = tmp_path / "single" / run_id(config)
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(yaml.safe_dump(config.plain()))
        (folder / "state.json").write_text(json.dumps({"state": state, "reason": "killed by signal 9"}))
        told = {"variant_key": variant_key(config), "settings": settings(config), "tuned": [], "version": VERSION}
        told |= {"choices": choices, "seed": seed, "experiment": "single"}
        row = {"id": folder.name, "status": "finished", "metrics": {}, "cost": {}, "kind": "lookup", **told}
        if state == "finished":
            (folder / "result.json").write_text(json.dumps(row))
    rows = load.read(tmp_path).set_index("seed")
    assert rows.loc[3, ["task", "variant", "status"]].tolist() == ["reverse", "budget=21", "failed"]
    assert rows.loc[5, ["task", "variant", "status"]].tolist() == ["reverse", "budget=35", "finished"]


@pytest.mark.parametrize("content", [*NO_JSON, *NO_MAPPING])
@pytest.mark.parametrize("name", ["result.json", "state.json"])
def test_a_broken_file_makes_its_run_missing_and_is_reported_by_name(tmp_path: Path, name: str, content: bytes) -> None:
    folder = _folder(tmp_path)
    (folder / name).write_bytes(content)
    row = _row(tmp_path)
    assert (row["status"], row["counted"]) == ("missing", False)
    assert row["reason"].startswith(f"{name} is ")
    table = summary(load.read(tmp_path)).set_index(["task", "variant"]).loc[("reverse", "additive")]
    assert (table["n"], table["planned"]) == (2, 3)
    assert table["test/token_accuracy"] == pytest.approx((0.60 + 0.62) / 2)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"metrics": {"test/bleu": float("nan")}}, "metrics.test/bleu is not a number or null"),
        ({"metrics": {"test/bleu": float("inf")}}, "metrics.test/bleu is not a number or null"),
        ({"metrics": {"test/bleu": 10**400}}, "metrics.test/bleu is not a number or null"),
        ({"metrics": {"test/bleu": [1.0]}}, "metrics.test/bleu is not a number or null"),
        ({"metrics": {"seed": 1}}, "metrics.seed is not a measure, as in test/bleu"),
        ({"metrics": []}, "metrics is not a mapping"),
        ({"cost": {"cost/seconds": True}}, "cost.cost/seconds is not a number or null"),
        ({"by_length": {}}, "by_length is not a list"),
        ({"by_length": [{"low": 1, "high": 2}]}, "by_length[0] is not with low, high, count"),
        ({"by_length": [{"low": 1, "high": 2, "count": 3, "bleu": "x"}]}, "by_length[0].bleu is not a number or null"),
        ({"longest": "ten"}, "longest is not a number or null"),
        ({"seed": -1}, "seed is not a seed"),
        ({"choices": None}, "choices is not a mapping"),
        ({"choices": {}}, "choices is not with a task and an attention"),
        ({"choices": {"task": {"a": 1}, "attention": ["x"]}}, "choices is not with a task and an attention"),
        ({"seed": 1}, "seed is not the one in the name of its folder"),
        ({"ranges": [{"range": "later", "low": 1, "high": 2, "count": 3}]}, "ranges is not of trained and beyond"),
        ({"ranges": [{"range": "beyond", "low": 1, "high": 2, "count": 3}] * 2}, "ranges is not of different range"),
        ({"ranges": [{"low": 1, "high": 2, "count": 3}]}, "ranges[0] is not with range"),
        ({"by_length": [{"low": 1, "high": 2, "count": 3}] * 2}, "by_length is not of different low, high"),
        ({"status": "running"}, "status is not finished"),
        ({"variant_key": "additive"}, "variant_key is not 12 hex digits"),
        ({"settings": {"budget": {}}}, "settings is not plain values by name"),
        ({"tuned": "optimizer.rate"}, "tuned is not names"),
        ({"length_unit": "pieces"}, "length_unit is not one of tokens, words, characters"),
        ({"id": "another"}, "id is not the name of its folder"),
    ],
)
def test_a_result_of_wrong_structure_is_not_counted(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    _change(_folder(tmp_path) / "result.json", **changed)
    row = _row(tmp_path)
    assert (row["status"], row["counted"]) == ("missing", False)
    assert row["reason"].startswith("result.json")
    assert message in row["reason"]


@pytest.mark.parametrize("line", [b"[]", b"{", b'{"step": 1}', b'{"step": 1, "tokens": 2, "validation/loss": []}', b""])
def test_a_broken_metrics_line_ends_the_curve_and_is_reported(tmp_path: Path, line: bytes) -> None:
    folder = _folder(tmp_path)
    lines = (folder / "metrics.jsonl").read_bytes().split(b"\n")
    (folder / "metrics.jsonl").write_bytes(b"\n".join([*lines[:4], line, *lines[5:]]))
    row = _row(tmp_path)
    assert row["counted"]
    assert row["reason"].startswith("metrics.jsonl, line 5")
    assert "the learning curve ends there" in row["reason"]
    points = load.curves(load.read(tmp_path))
    mine = points[(points["variant"] == "additive") & (points["task"] == "reverse") & (points["seed"] == 2)]
    assert mine["step"].max() == 300


def _replace(path: Path, instead: str) -> None:
    path.unlink()
    if instead == "folder":
        path.mkdir()
    elif instead == "pipe":  # opening it would block forever
        os.mkfifo(path)
    elif instead == "link to nowhere":
        path.symlink_to(path.with_name("nowhere"))


@pytest.mark.parametrize("name", ["result.json", "state.json", "metrics.jsonl"])
@pytest.mark.parametrize("instead", ["nothing", "folder", "link to nowhere", "pipe"])
def test_a_file_that_cannot_be_opened_is_reported_by_name(tmp_path: Path, name: str, instead: str) -> None:
    _replace(_folder(tmp_path) / name, instead)
    row = _row(tmp_path)
    assert row["counted"] == (name == "metrics.jsonl")
    assert row["reason"].startswith(name)


@pytest.mark.parametrize("instead", ["folder", "link to nowhere", "pipe"])
def test_alignments_that_cannot_be_opened_are_reported_and_missing_ones_are_empty(tmp_path: Path, instead: str) -> None:
    folder = _folder(tmp_path)
    _replace(folder / "alignments.npz", instead)
    with pytest.raises(UserError, match=r"alignments\.npz cannot be read"):
        load.alignments(folder)
    shutil.rmtree(folder)
    assert load.alignments(folder) == []


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"garbage", b"\x80\x04."])
def test_broken_alignments_are_reported(tmp_path: Path, content: bytes) -> None:
    folder = _folder(tmp_path)
    (folder / "alignments.npz").write_bytes(content)
    with pytest.raises(UserError, match=r"^additive-reverse-s2: alignments\.npz cannot be read$"):
        load.alignments(folder)


def test_broken_alignments_are_reported_on_the_page_next_to_intact_ones(tmp_path: Path) -> None:
    (_folder(tmp_path) / "alignments.npz").write_bytes(b"garbage")
    (experiment,) = page_data.payload(load.read(tmp_path))["experiments"]
    heat = experiment["tasks"][0]["heat"]
    assert "additive-reverse-s2: alignments.npz cannot be read" in heat["note"]
    assert [f"additive-reverse-s{seed}" in heat["runs"] for seed in (1, 2, 3)] == [True, False, True]


@pytest.mark.parametrize(
    "changed",
    [
        {"weights_0": np.zeros((6, 5), np.float32)},
        {"weights_0": np.zeros(6, np.float32)},
        {"gold_0": np.zeros((6, 6))},
        {"source_0": np.arange(6)},
        {"target_0": np.array("word")},
        {"weights_7": np.zeros((6, 6), np.float32)},
    ],
)
def test_alignments_of_wrong_structure_are_reported(tmp_path: Path, changed: dict[str, np.ndarray]) -> None:
    path = _folder(tmp_path) / "alignments.npz"
    with np.load(path) as stored:
        np.savez(path, **{**stored, **changed})
    with pytest.raises(UserError, match=r"alignments\.npz"):
        load.alignments(path.parent)


def test_a_planted_pickle_is_never_loaded(tmp_path: Path) -> None:
    class Planted:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    folder = _folder(tmp_path)
    np.savez(folder / "alignments.npz", weights_0=np.array([Planted()], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match=r"alignments\.npz"):
        load.alignments(folder)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no JSON"),
        (b"[]", "not a mapping"),
        (b"{}", "planned is not a list"),
        (b'{"version": 2, "planned": [3]}', r"planned\[0\] is not a mapping"),
        (b'{"version": 2, "planned": [{"id": "../elsewhere"}]}', r"planned\[0\]\.id is not the name of a run"),
        (b'{"version": 2, "planned": [{"id": "a", "choices": {}, "seed": "1"}]}', r"planned\[0\]: seed is not a seed"),
        (
            b'{"version": 2, "planned": [{"id": "a", "choices": {}, "seed": 1}]}',
            r"planned\[0\]: variant_key is not 12 hex digits",
        ),
    ],
)
def test_a_broken_plan_is_reported_with_a_remedy(tmp_path: Path, content: bytes, message: str) -> None:
    plan = fake_runs.make(tmp_path) / "bottleneck" / "plan.json"
    plan.write_bytes(content.replace(b'"version": 2', f'"version": {VERSION}'.encode()))
    with pytest.raises(UserError, match=rf"plan\.json cannot be read \(.*{message}\): run the sweep again"):
        load.read(tmp_path)


def test_runs_deleted_after_reading_are_still_drawn_and_exported(tmp_path: Path) -> None:
    rows = load.read(fake_runs.make(tmp_path))
    before = {name: len(table) for name, table in csv_export.tables(rows).items()}
    shutil.rmtree(tmp_path / "bottleneck")
    assert {name: len(table) for name, table in csv_export.tables(rows).items()} == before
    assert "additive" in page.render(rows)


def test_a_run_without_a_process_is_preempted_and_every_state_is_counted(tmp_path: Path) -> None:
    folder = fake_runs.make(tmp_path, seeds=6) / "bottleneck"
    states = ("running", "diverged", "out_of_memory", "queued", "preempted")
    for seed, state in enumerate(states, start=1):
        (folder / f"additive-reverse-s{seed}" / "state.json").write_text(json.dumps({"state": state}))
    found = counts(load.read(tmp_path)).loc["bottleneck"]
    ended = {"planned": 36, "finished": 29, "failed": 1, "diverged": 1, "missing": 1}
    assert found.to_dict() == {**ended, "out_of_memory": 1, "preempted": 2, "queued": 1}


def test_yaml_aliases_for_billions_of_values_are_not_expanded(tmp_path: Path) -> None:
    folder = tmp_path / "single" / "a"
    folder.mkdir(parents=True)
    (folder / "state.json").write_text('{"state": "failed", "reason": ["\\ud800"]}')
    doubled = "".join(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9)}]\n" for i in range(1, 30))
    (folder / "config.yaml").write_text(f"l0: &l0 [x]\n{doubled}choices: {{task: *l29}}\nseed: 1\n")
    (row,) = load.read(tmp_path).to_dict("records")
    assert (row["status"], row["task"], row["seed"], row["reason"]) == ("failed", "unknown", -1, "['\\ud800']")


def _age(folder: Path) -> None:
    """Rewrite the runs of an experiment as code without versions wrote them."""
    for path in folder.glob("*/result.json"):
        row = json.loads(path.read_text())
        kept = {key: row[key] for key in row if key not in ("version", "variant_key", "settings", "tuned", "data")}
        path.write_text(json.dumps(kept))
    plan = json.loads((folder / "plan.json").read_text())
    cells = [{key: cell[key] for key in ("id", "choices", "seed")} for cell in plan["planned"]]
    for cell in cells:
        if (folder / cell["id"]).exists():
            (folder / cell["id"] / "config.yaml").write_text(yaml.safe_dump(cell))
    (folder / "plan.json").write_text(json.dumps({"experiment": folder.name, "planned": cells}))


def test_runs_of_older_code_have_a_separate_status_and_are_not_counted(tmp_path: Path) -> None:
    _age(fake_runs.make(tmp_path, "old") / "old")
    fake_runs.make(tmp_path, "new")
    rows = load.read(tmp_path)
    old = rows[rows["experiment"] == "old"]
    assert (old["status"] == "older code").sum() == 17  # all except the cell that was never started
    assert not old["counted"].any()
    assert counts(rows).loc["old", ["planned", "finished", "older code"]].tolist() == [0, 0, 17]
    assert counts(rows).loc["new", ["planned", "finished", "older code"]].tolist() == [18, 16, 0]
    assert set(summary(rows)["experiment"]) == {"new"}
    assert old["test/token_accuracy"].isna().all()
    (line,) = other_code(rows)
    assert line.startswith("17 runs were made by older code")
    assert "run the same sweep again" in line
    assert line.endswith(f"rm -r {tmp_path / 'old'}")
    assert json.dumps(line)[1:-1] in page.render(rows)
    assert other_code(rows[rows["experiment"] == "new"]) == []


def test_an_older_run_outside_the_plan_is_listed_by_folder_and_changes_no_mean(tmp_path: Path) -> None:
    folder = fake_runs.make(tmp_path) / "bottleneck"
    before = summary(load.read(tmp_path))
    shutil.copytree(folder / "additive-reverse-s2", folder / "old run")
    row = json.loads((folder / "old run" / "result.json").read_text()) | {"id": "old run", "version": VERSION - 1}
    row["metrics"]["test/token_accuracy"] = 0.0
    (folder / "old run" / "result.json").write_text(json.dumps(row | {"id": "old run-s2-"}))
    (folder / "old run").rename(folder / "old run-s2-")
    rows = load.read(tmp_path)
    assert rows.set_index("id").loc["old run-s2-", ["status", "counted"]].tolist() == ["older code", False]
    pd.testing.assert_frame_equal(summary(rows), before)
    assert other_code(rows)[0].endswith(f"rm -r '{folder / 'old run-s2-'}'")
    _change(folder / "old run-s2-" / "result.json", version=VERSION + 1)
    assert load.read(tmp_path).set_index("id").loc["old run-s2-", "status"] == "newer code"


def test_an_unfinished_run_of_older_code_is_recognized_by_its_config(tmp_path: Path) -> None:
    folder = tmp_path / "single" / "additive-gru-copy-s3-0123456789ab"
    folder.mkdir(parents=True)
    config = {"choices": {"task": "copy", "encoder": "gru", "attention": "additive"}, "seed": 3}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "state.json").write_text('{"state": "failed", "reason": "killed by signal 9"}')
    (row,) = load.read(tmp_path).to_dict("records")
    assert (row["status"], row["variant"], row["seed"], row["counted"]) == ("older code", "additive", 3, False)


def test_the_kinds_of_attention_follow_the_contract() -> None:
    assert get_args(Kind) == validated_files.KINDS
