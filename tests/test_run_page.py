"""The page of each run: what it says, when it is drawn again, and that nothing else depends on it."""

import json
import os
from pathlib import Path

import fake_runs
import numpy as np
import pytest

from softlookup.analysis.load import read
from softlookup.dashboard import run_page
from softlookup.dashboard.run_page_data import MAPS_BYTES, run_data
from softlookup.dashboard.run_settings import beside_defaults

RUN = "additive-reverse-s2"
FAILED = f"{fake_runs.SCRIPT}-reverse-s1".replace("/", "_")


def _row(runs_dir: Path, name: str) -> dict:
    return next(row for row in read(runs_dir).to_dict("records") if row["id"] == name)


def _with_layers(path: Path, size: int) -> None:
    """Write an example of `size` tokens with two layers of three heads, whose weights are all on the first source."""
    words = np.array([f"w{i}" for i in range(size)])
    weights, heads = np.eye(1, size).repeat(size, 0), np.zeros((2, 3, size, size), dtype=np.float32)
    heads[..., 0] = 1
    arrays = {f"{name}_0": words for name in ("source", "target", "reference")}
    arrays |= {f"{name}_0": heads for name in ("lookups", "encoder", "decoder")}
    np.savez_compressed(path, weights_0=weights, gold_0=np.zeros((size, size), dtype=bool), **arrays)


def test_a_page_has_the_results_of_its_run_and_says_where_training_ends(tmp_path: Path) -> None:
    fake_runs.make(tmp_path)
    data = run_data(_row(tmp_path, RUN))
    tables = {table["title"]: table for table in data["tables"]}
    value = f"{100 * fake_runs.accuracy(1, 2):.1f} %"
    assert tables["Result"]["rows"][0][:3] == ["token accuracy", value, "higher"]
    assert "BLEU lowercased" in tables["Result"]["note"]  # not measured, since the task has no text
    lengths = tables["By source length"]
    assert lengths["columns"][:4] == ["source length (tokens)", "training", "examples", "token accuracy"]
    sides = [(row[0], row[1]) for row in lengths["rows"]]
    assert sides == [*((n, "trained") for n in ("5", "10")), *((n, "beyond") for n in ("15", "20", "30", "40"))]
    cost = {name: value for name, value, *_ in tables["Training and cost"]["rows"]}
    assert (cost["parameters"], cost["peak memory"]) == ("1.0 k", "4.0 MB")  # 1007 and 4,000,000 bytes
    curves = data["curves"]
    assert (curves["tokens"][1], curves["seconds"][1]) == (64_000, 2.0)
    names = [one["name"] for one in curves["measures"]]
    assert names == ["validation loss", "validation token accuracy", "longest source"]
    assert len(data["examples"]) == len(fake_runs.EXAMPLES)
    assert data["sentence"].startswith("additive (encoder gru) on reverse, seed 2.")


def test_settings_stand_beside_the_defaults_of_their_choices() -> None:
    choices = {"optimizer": "adam", "decoder": "transformer", "mixer": "scaled_dot", "task": "copy", "odd": "x"}
    settings = {"optimizer.rate": 0.006, "optimizer.beta1": 0.9, "decoder._partial_": True, "budget": 400_000}
    settings |= {"decoder.mixer.heads": 8, "data.train": "1f9c"}
    found = {one["key"]: (one["value"], one["default"], one["differs"]) for one in beside_defaults(choices, settings)}
    assert found == {
        "optimizer": ("adam", "adam", False),
        "decoder": ("transformer", "bahdanau", True),
        "mixer": ("scaled_dot", "scaled_dot", False),
        "task": ("copy", "reverse", True),
        "odd": ("x", "", False),
        "optimizer.rate": ("0.006", "0.003", True),
        "optimizer.beta1": ("0.9", "0.9", False),
        "budget": ("400000", "400000", False),
        "decoder.mixer.heads": ("8", "4", True),  # conf/mixer/scaled_dot.yaml, through ${mixer}
        "data.train": ("1f9c", "", False),
    }


def test_pages_are_drawn_when_their_files_change_and_change_no_other_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = fake_runs.make(tmp_path) / "bottleneck"
    (folder / FAILED / "log.txt").write_text("first\n\x1b[31mValueError\x1b[0m: bad\n")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    run_page.write_missing(read(tmp_path))
    pages = sorted(folder.glob("*/run.html"))
    assert {page.parent for page in pages} == {path.parent for path in folder.glob("*/state.json")}
    assert {path: path.read_bytes() for path in before} == before
    drawn = {page: page.stat().st_ino for page in pages}
    run_page.write_missing(read(tmp_path))
    assert {page: page.stat().st_ino for page in pages} == drawn  # none was replaced

    changed, blocked = folder / RUN / "run.html", folder / FAILED / "run.html"
    (folder / RUN / "state.json").write_text('{"state": "failed", "reason": "disk full"}')
    blocked.unlink()
    blocked.mkdir()
    run_page.write_missing(read(tmp_path))
    assert [page for page in pages if page.is_file() and page.stat().st_ino != drawn[page]] == [changed]
    assert "disk full" in changed.read_text()
    assert capsys.readouterr().err == f"no page of a run: {blocked} (Is a directory)\n"
    assert not list(folder.glob("*/.run.html*"))


def test_a_failed_run_shows_its_reason_and_the_end_of_its_log(tmp_path: Path) -> None:
    folder = fake_runs.make(tmp_path) / "bottleneck" / FAILED
    (folder / "log.txt").write_bytes(b"x" * 10**6 + b"\n\x1b[31mlast\x1b[0m \xff\n")
    os.mkfifo(folder / "config.yaml")  # is not read, and blocks nothing
    data = run_data(_row(tmp_path, FAILED))
    assert (data["state"], data["reason"]) == ("failed", f"ValueError: {fake_runs.SCRIPT}")
    assert (data["log"], data["config"], data["tables"], data["examples"]) == ("last \ufffd", "", [], [])
    assert data["sentence"].endswith("There is no result: nothing was measured.")


def test_weights_that_would_make_the_page_large_are_left_out_with_a_note(tmp_path: Path) -> None:
    folder = fake_runs.make(tmp_path) / "bottleneck" / RUN
    _with_layers(folder / "alignments.npz", 7)
    (example,) = run_data(_row(tmp_path, RUN))["examples"]
    assert np.shape(example["layers"]["encoder"]) == (2, 3, 7, 7)
    assert example["layers"]["lookups"][1][2][6] == [1000, 0, 0, 0, 0, 0, 0]
    _with_layers(folder / "alignments.npz", 101)  # 10,201 weights of at least two bytes, six times for each kind
    data = run_data(_row(tmp_path, RUN))
    assert list(data["examples"][0]["layers"]) == ["lookups"]
    assert data["notes"] == [
        "Left out for their size: the encoder of example 1, the decoder of example 1. alignments.npz has all weights."
    ]
    assert len(json.dumps(data["examples"], separators=(",", ":"))) < MAPS_BYTES
    with np.load(folder / "alignments.npz") as stored:
        arrays = {name: stored[name] for name in stored.files} | {"encoder_0": np.zeros((2, 3, 101, 100))}
    np.savez_compressed(folder / "alignments.npz", **arrays)
    broken = run_data(_row(tmp_path, RUN))
    assert broken["examples"] == []
    assert "example 0: encoder is not weights of shape (layers, heads, 101, 101)" in broken["notes"][0]
