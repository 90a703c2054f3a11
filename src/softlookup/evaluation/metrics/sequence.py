"""Are the tokens right? Over ids, for the whole set and along the source length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Any

import numpy as np

from softlookup.text.vocabulary import EOS, UNK

REACHED = 0.9  # the accuracy that counts as solved in effective_length


def right(hypothesis: Sequence[int], reference: Sequence[int]) -> np.ndarray:
    """Booleans (len(reference) + 1,): true where the hypothesis has the reference's id at the same position.

    The reference has no EOS; its last position here is that of EOS. What follows the first EOS of the hypothesis is
    not read, and positions that it does not reach are wrong. So is every position whose reference is unknown (UNK):
    the id stands for any word outside the vocabulary, and no two of them are known to be the same.
    """
    wanted = np.array([*reference, EOS])
    found = np.full(len(wanted), -1)
    written = _to_end(hypothesis)[: len(wanted)]
    found[: len(written)] = written
    return np.asarray((found == wanted) & (wanted != UNK))


def exact(hypothesis: Sequence[int], reference: Sequence[int], texts: tuple[str, str] | None = None) -> bool:
    """Return whether the hypothesis says what the reference says, with nothing unknown in it.

    For text, `texts` are what the hypothesis writes and how a perfect one would be spelled: they are compared, so that
    it does not matter which pieces spell a text. Otherwise every position of the reference has to be right.
    """
    if texts is None:
        return bool(right(hypothesis, reference).all())
    return UNK not in _to_end(hypothesis) and texts[0] == texts[1]


def agreed(hypothesis: Sequence[int], reference: Sequence[int]) -> int:
    """Return how many positions there are before the first in which the ids differ; all of the reference's where none
    does.

    So far the model has written under the reference's past; behind it, position t of one need not be position t of
    the other.
    """
    pairs = zip(_to_end(hypothesis), reference, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _to_end(hypothesis: Sequence[int]) -> list[int]:
    """Its ids up to and with the first EOS."""
    written = list(hypothesis)
    return written[: written.index(EOS) + 1] if EOS in written else written


def measure(
    hypotheses: Sequence[Sequence[int]],
    references: Sequence[Sequence[int]],
    texts: Sequence[tuple[str, str] | None] | None = None,
) -> dict[str, float | None]:
    """Token accuracy and exact match of a set; None for an empty one.

    token_accuracy is the share of reference positions, EOS among them, whose token is right (see `right`); exact_match
    the share of hypotheses that say what the reference says (see `exact`, which says what `texts` are).
    Raises ValueError when the counts differ.
    """
    texts = [None] * len(references) if texts is None else texts
    if not len(hypotheses) == len(references) == len(texts):
        raise ValueError(f"got {len(hypotheses)} hypotheses and {len(references)} references, {len(texts)} with texts")
    if not references:
        return {"token_accuracy": None, "exact_match": None}
    pairs = list(zip(hypotheses, references, texts, strict=True))
    return {
        "token_accuracy": float(np.concatenate([right(h, r) for h, r, _ in pairs]).mean()),
        "exact_match": float(np.mean([exact(*pair) for pair in pairs])),
    }


def by_length(
    lengths: Sequence[int],
    buckets: Sequence[tuple[int, int]],
    measure: Callable[[list[int]], dict[str, Any]],
) -> list[dict[str, Any]]:
    """Return one row for each bucket of source length, bounds inclusive: low, high, count, and what `measure` makes of
    the positions in `lengths` that fall into it. A length outside every bucket is in no row."""
    rows = []
    for low, high in buckets:
        members = [i for i, length in enumerate(lengths) if low <= length <= high]
        rows.append({"low": low, "high": high, "count": len(members), **measure(members)})
    return rows


def _measured(rows: Sequence[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return sorted((row for row in rows if row[name] is not None), key=lambda row: (row["low"], row["high"]))


def area(rows: Sequence[dict[str, Any]], name: str = "token_accuracy") -> float | None:
    """Return the area under `name` along source length (trapezoids between the buckets' middles), divided by the range
    of length: 0 to 1, and 1 for a curve that is 1 everywhere. None with fewer than two measured lengths."""
    measured = _measured(rows, name)
    middles = np.array([(row["low"] + row["high"]) / 2 for row in measured])
    if len(set(middles.tolist())) < 2:
        return None
    values = np.array([row[name] for row in measured])
    return float(np.trapezoid(values, middles) / (middles[-1] - middles[0]))


def effective_length(rows: Sequence[dict[str, Any]], name: str = "token_accuracy") -> int | None:
    """Return the longest length (a bucket's upper bound) that is reached with `name` ≥ 0.9 in its bucket and in every
    shorter one that was measured; 0 when the shortest fails, None when nothing was measured."""
    measured = _measured(rows, name)
    reached = 0
    for row in measured:
        if row[name] < REACHED:
            break
        reached = row["high"]
    return reached if measured else None
