"""Are the tokens right? Over ids, for the whole set and along the source length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from softlookup.vocabulary import EOS

REACHED = 0.9  # the accuracy that counts as solved in effective_length


def right(hypothesis: Sequence[int], reference: Sequence[int]) -> np.ndarray:
    """Booleans (len(reference) + 1,): true where the hypothesis has the reference's id at the same position.

    The reference has no EOS; its last position here is that of EOS. What follows the first EOS of the hypothesis is
    not read, and positions that it does not reach are wrong.
    """
    wanted = np.array([*reference, EOS])
    written = list(hypothesis[: len(wanted)])
    if EOS in written:
        written = written[: written.index(EOS) + 1]
    found = np.full(len(wanted), -1)
    found[: len(written)] = written
    return np.asarray(found == wanted)


def measure(hypotheses: Sequence[Sequence[int]], references: Sequence[Sequence[int]]) -> dict[str, float | None]:
    """Token accuracy and exact match of a set; None for an empty one.

    token_accuracy is the share of reference positions, EOS among them, whose token is right (see `right`);
    exact_match the share of hypotheses with every one of them right, which therefore end where the reference does.
    Raises ValueError when the counts differ.
    """
    if len(hypotheses) != len(references):
        raise ValueError(f"got {len(hypotheses)} hypotheses and {len(references)} references")
    if not references:
        return {"token_accuracy": None, "exact_match": None}
    rights = [right(h, r) for h, r in zip(hypotheses, references, strict=True)]
    return {
        "token_accuracy": float(np.concatenate(rights).mean()),
        "exact_match": float(np.mean([row.all() for row in rights])),
    }


def by_length(
    lengths: Sequence[int],
    buckets: Sequence[tuple[int, int]],
    measure: Callable[[list[int]], dict[str, Any]],
) -> list[dict[str, Any]]:
    """One row for each bucket of source length, bounds inclusive: low, high, count, and what `measure` makes of the
    positions in `lengths` that fall into it. A length outside every bucket is in no row."""
    rows = []
    for low, high in buckets:
        members = [i for i, length in enumerate(lengths) if low <= length <= high]
        rows.append({"low": low, "high": high, "count": len(members), **measure(members)})
    return rows


def _measured(rows: Sequence[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return sorted((row for row in rows if row[name] is not None), key=lambda row: (row["low"], row["high"]))


def area(rows: Sequence[dict[str, Any]], name: str = "token_accuracy") -> float | None:
    """The area under `name` along source length (trapezoids between the buckets' middles), divided by the range of
    length: 0 to 1, and 1 for a curve that is 1 everywhere. None with fewer than two measured lengths."""
    measured = _measured(rows, name)
    middles = np.array([(row["low"] + row["high"]) / 2 for row in measured])
    if len(set(middles.tolist())) < 2:
        return None
    values = np.array([row[name] for row in measured])
    return float(np.trapezoid(values, middles) / (middles[-1] - middles[0]))


def effective_length(rows: Sequence[dict[str, Any]], name: str = "token_accuracy") -> int | None:
    """The longest length (a bucket's upper bound) that is reached with `name` ≥ 0.9 in its bucket and in every shorter
    one that was measured; 0 when the shortest fails, None when nothing was measured."""
    measured = _measured(rows, name)
    reached = 0
    for row in measured:
        if row[name] < REACHED:
            break
        reached = row["high"]
    return reached if measured else None
