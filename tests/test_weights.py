"""Files of attention weights: values read back, and each head next to the mean."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from choices import OFFERED, build_seq2seq, encoder_for

from softlookup.contract import Example
from softlookup.data.collate import collate
from softlookup.errors import UserError
from softlookup.inference import weights_file
from softlookup.inference.translator import Lookup

PAIRS = [((4, 5, 6, 7, 8), (9, 10, 11)), ((4, 9), (5,)), ((7, 6, 5), (4, 8, 8, 8, 8, 8))]


@pytest.mark.parametrize("decoder", OFFERED["decoder"])
def test_the_weights_of_the_model_are_the_mean_of_its_heads(decoder: str) -> None:
    variant = (decoder, {})
    model = build_seq2seq(encoder_for(variant), variant, "additive", heads=2)
    assert model is not None
    batch = collate([Example(*pair) for pair in PAIRS])
    with torch.no_grad():  # with gradients an encoder may sum in another order
        mean = model.teach(batch, weights=True).weights
    heads = weights_file.by_head(model, batch)
    assert mean is not None
    assert heads is not None
    assert heads.shape == (len(PAIRS), 2, 7, 6)
    assert torch.equal(heads.mean(1), mean)
    assert not torch.allclose(heads[:, 0], heads[:, 1], atol=1e-3)
    alone = [weights_file.of_heads(model, [pair]) for pair in PAIRS]
    for one, many, (source, target) in zip(alone, weights_file.of_heads(model, PAIRS) or [], PAIRS, strict=True):
        assert one is not None
        assert one[0].shape == many.shape == (2, len(target) + 1, len(source) + 1)
        assert np.abs(one[0] - many).max() < 1e-6
        assert np.abs(many.sum(-1) - 1).max() < 1e-5  # no weight on padding


@pytest.mark.parametrize("attention", ["additive", "fixed_mean"])
def test_a_model_without_heads_gives_none(attention: str) -> None:
    model = build_seq2seq("gru", ("bahdanau", {}), attention)
    assert model is not None
    assert weights_file.of_heads(model, PAIRS) is None


def lookup(number: int) -> Lookup:
    """Return a lookup of five source and three target tokens with two heads."""
    heads = np.random.default_rng(number).random((2, 3, 5)).astype(np.float32)
    source, target = ["ein", "ä", '"q"', "\\", "</s>"], ["a", "é", "</s>"]
    return Lookup(heads.mean(0), np.zeros((3, 5), dtype=bool), source, target, heads if number != 7 else None)


def add(path: Path, *numbers: int) -> None:
    """Write a file of these sentences; number 0 raises an error."""
    with weights_file.written(path) as file:
        for number in numbers:
            file.add(6 // number, lookup(number))


def test_npz_and_jsonl_have_the_same_content(tmp_path: Path) -> None:
    for name in ("w.npz", "w.jsonl"):
        with weights_file.written(tmp_path / name) as file:
            for number in (2, 3, 7):
                file.add(number, lookup(number))
    with np.load(tmp_path / "w.npz", allow_pickle=False) as archive:
        arrays = dict(archive)
    rows = {row["line"]: row for row in map(json.loads, (tmp_path / "w.jsonl").read_text().splitlines())}
    assert list(rows) == [2, 3, 7]
    assert len(arrays) == 3 * 4 - 1
    for number, row in rows.items():
        one = lookup(number)
        for side in ("source", "target"):
            assert arrays[f"{side}_{number}"].tolist() == row[side] == getattr(one, side)
        for kind in ("weights", "heads") if number != 7 else ("weights",):
            assert arrays[f"{kind}_{number}"].dtype == np.float32
            assert np.array_equal(arrays[f"{kind}_{number}"], getattr(one, kind))
            assert np.array_equal(np.float32(row[kind]), getattr(one, kind))
    assert "heads" not in rows[7]


def test_a_file_is_complete_or_unchanged(tmp_path: Path) -> None:
    for name in ("w.npz", "w.jsonl"):
        (tmp_path / name).write_bytes(b"before")
        with pytest.raises(ZeroDivisionError):
            add(tmp_path / name, 2, 1, 0)
        assert (tmp_path / name).read_bytes() == b"before"
    assert len(list(tmp_path.iterdir())) == 2
    for name, message in (("w.csv", r"ends with \.npz or \.jsonl"), ("no/w.npz", "there is no folder")):
        with pytest.raises(UserError, match=message), weights_file.written(tmp_path / name):
            pass
