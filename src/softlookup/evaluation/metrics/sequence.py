"""Compute token accuracy and exact match over ids, for a whole set and by source length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Any

import numpy as np

from softlookup.text.vocabulary import EOS, UNK

REACHED = 0.9  # the accuracy that counts as solved in effective_length


def right(hypothesis: Sequence[int], reference: Sequence[int]) -> np.ndarray:
    """Return booleans (len(reference) + 1,), true where the hypothesis has the reference's id at the same position.

    The reference is given without EOS; the last position of the result is that of EOS. The hypothesis is read up to its
    first EOS; positions that it does not reach are wrong. Positions with an unknown reference token (UNK) are wrong
    too: UNK stands for any word outside the vocabulary, so two UNK need not be the same word.
    """
    wanted = np.array([*reference, EOS])
    found = np.full(len(wanted), -1)
    written = _to_end(hypothesis)[: len(wanted)]
    found[: len(written)] = written
    return np.asarray((found == wanted) & (wanted != UNK))


def exact(hypothesis: Sequence[int], reference: Sequence[int], texts: tuple[str, str] | None = None) -> bool:
    """Return whether the hypothesis equals the reference and has no unknown token.

    For text, `texts` are the hypothesis as text and the spelling of a perfect one: comparing them makes the result
    independent of the segmentation. Otherwise every position must be right.
    """
    if texts is None:
        return bool(right(hypothesis, reference).all())
    return UNK not in _to_end(hypothesis) and texts[0] == texts[1]


def agreed(hypothesis: Sequence[int], reference: Sequence[int]) -> int:
    """Return the number of positions before the first in which the ids differ; the length of the reference if none
    does.

    Up to there the model was conditioned on the reference's prefix; after it, the positions of the two need not
    correspond.
    """
    pairs = zip(_to_end(hypothesis), reference, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _to_end(hypothesis: Sequence[int]) -> list[int]:
    """Return the ids up to and including the first EOS."""
    written = list(hypothesis)
    return written[: written.index(EOS) + 1] if EOS in written else written


def measure(
    hypotheses: Sequence[Sequence[int]],
    references: Sequence[Sequence[int]],
    texts: Sequence[tuple[str, str] | None] | None = None,
) -> dict[str, float | None]:
    """Compute token accuracy and exact match of a set; None for an empty one.

    token_accuracy is the share of reference positions, including EOS, whose token is right (see `right`); exact_match
    the share of hypotheses that equal the reference (see `exact`, also for `texts`). Raises ValueError when the counts
    differ.
    """
    texts = [None] * len(references) if texts is None else texts
    if not len(hypotheses) == len(references) == len(texts):
        raise ValueError(f"got {len(hypotheses)} hypotheses and {len(references)} references, {len(texts)} with texts")
    pairs = list(zip(hypotheses, references, texts, strict=True))
    return shares([right(h, r) for h, r, _ in pairs], [exact(*pair) for pair in pairs])


def shares(rights: Sequence[np.ndarray], exacts: Sequence[bool]) -> dict[str, float | None]:
    """Return token accuracy and exact match of a set from the results of `right` and `exact`; None for an empty one."""
    if not exacts:
        return {"token_accuracy": None, "exact_match": None}
    return {"token_accuracy": float(np.concatenate(rights).mean()), "exact_match": float(np.mean(exacts))}


def by_length(
    lengths: Sequence[int],
    buckets: Sequence[tuple[int, int]],
    measure: Callable[[list[int]], dict[str, Any]],
) -> list[dict[str, Any]]:
    """Return one row for each bucket of source length (bounds inclusive): low, high, count, and the result of `measure`
    for the indices of `lengths` in the bucket. Lengths outside all buckets are ignored."""
    rows = []
    for low, high in buckets:
        members = [i for i, length in enumerate(lengths) if low <= length <= high]
        rows.append({"low": low, "high": high, "count": len(members), **measure(members)})
    return rows


def _measured(rows: Sequence[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return sorted((row for row in rows if row[name] is not None), key=lambda row: (row["low"], row["high"]))


def area(rows: Sequence[dict[str, Any]], name: str = "token_accuracy") -> float | None:
    """Return the area under the curve of `name` over source length (trapezoids between bucket centres), divided by the
    range of lengths: 0 to 1, and 1 for a curve that is 1 everywhere. None with fewer than two measured lengths."""
    measured = _measured(rows, name)
    middles = np.array([(row["low"] + row["high"]) / 2 for row in measured])
    if len(set(middles.tolist())) < 2:
        return None
    values = np.array([row[name] for row in measured])
    return float(np.trapezoid(values, middles) / (middles[-1] - middles[0]))


def effective_length(rows: Sequence[dict[str, Any]], name: str = "token_accuracy") -> int | None:
    """Return the longest length (a bucket's upper bound) for which `name` is ≥ 0.9 in its bucket and in all shorter
    measured ones; 0 if the shortest bucket fails, None if nothing was measured."""
    measured = _measured(rows, name)
    reached = 0
    for row in measured:
        if row[name] < REACHED:
            break
        reached = row["high"]
    return reached if measured else None
