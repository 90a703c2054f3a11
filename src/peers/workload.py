"""Make the work of the benchmark: the sizes of the models, and batches of random words in sentences of real lengths."""

import gzip
import os
import re
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

SIZES: dict[str, Any] = {
    "sources": 8000, "targets": 6000, "steps": 13, "beam": 5, "rate": 1e-3, "clip": 1.0,
    "rnn": {"embedding": 256, "encoder": 256, "decoder": 512, "dropout": 0.3},
    "transformer": {"model": 128, "feed_forward": 256, "heads": 4, "blocks": 4, "dropout": 0.1},
}  # fmt: skip
BATCH = 64
# Training batches are cut from so many, sorted by length, as every system but JoeyNMT does by itself.
POOL = 16
# Multi30k's training set in words, punctuation marks and EOS: mean, deviation and bounds of the German lengths; the
# English length is linear in it, with this deviation around the line.
MEAN, DEVIATION, SHORTEST, LONGEST = 13.6, 4.3, 3, 46
SLOPE, OFFSET, AROUND = 0.83, 2.83, 2.06


def prepared(batches: int, threads: int) -> tuple[dict[str, Any], str]:
    """Return the work for every system, and the origin of the lengths.

    `batches` of each kind: those to decode in the order of the text, with sources of any length; those to train on
    spread evenly over a pool sorted by length.
    """
    generator = np.random.default_rng(1)
    training, origin = _lengths("train", POOL * BATCH, generator)
    decoding, _ = _lengths("test_2016_flickr", batches * BATCH, generator)
    ordered = sorted(training, key=lambda pair: (pair[1], pair[0]))
    pool = [ordered[start : start + BATCH] for start in range(0, len(ordered), BATCH)]
    chosen = [pool[(2 * i + 1) * len(pool) // (2 * batches)] for i in range(batches)]
    plain = [decoding[start : start + BATCH] for start in range(0, len(decoding), BATCH)]
    made = {
        kind: [_batch(pairs, generator) for pairs in groups]
        for kind, groups in (("training", chosen), ("decoding", plain))
    }
    return {**SIZES, "threads": threads, "batches": made}, origin


def padding(batches: list[dict[str, Any]]) -> dict[str, float]:
    """Return the share of padding in the sources and in the targets of these batches."""
    shares = {}
    for side in ("source", "target"):
        arrays = [np.array(batch[side]) for batch in batches]
        shares[side] = sum(int((array == 0).sum()) for array in arrays) / sum(array.size for array in arrays)
    return shares


def _lengths(split: str, count: int, generator: np.random.Generator) -> tuple[list[tuple[int, int]], str]:
    """Return lengths of source and target, including EOS, and a description of their origin."""
    folder = os.environ.get("MULTI30K_DIR")
    if folder:
        sides = []
        for language in ("de", "en"):
            with gzip.open(Path(folder) / f"{split}.{language}.gz", "rt", encoding="utf-8") as lines:
                sides.append([len(re.findall(r"\w+|[^\w\s]", line)) + 1 for line in islice(lines, count)])
        origin = "the first of Multi30k's train (training) and test_2016_flickr (decoding)"
        return list(zip(*sides, strict=True)), origin
    source = generator.normal(MEAN, DEVIATION, count).round().clip(SHORTEST, LONGEST)
    target = (generator.normal(0, AROUND, count) + SLOPE * source + OFFSET).round().clip(SHORTEST, LONGEST)
    drawn = [(int(s), int(t)) for s, t in zip(source, target, strict=True)]
    return drawn, f"drawn with the mean and deviation of Multi30k's train, {SHORTEST} to {LONGEST} words"


def _batch(pairs: list[tuple[int, int]], generator: np.random.Generator) -> dict[str, Any]:
    """Return source and target ids, padded with 0, and the lengths of the sources. Ids below 4 are not words."""
    made: dict[str, Any] = {"lengths": [source for source, _ in pairs]}
    for side, name, words in ((0, "source", "sources"), (1, "target", "targets")):
        lengths = [pair[side] for pair in pairs]
        ids = np.zeros((len(pairs), max(lengths)), dtype=int)
        for row, length in zip(ids, lengths, strict=True):
            row[:length] = generator.integers(4, SIZES[words], length)
        made[name] = ids.tolist()
    return made
