"""Compare attention weights with gold alignments: corpus-level metrics over numpy arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

Links = Sequence[frozenset[int]]


def measure(
    weights: Sequence[np.ndarray | None],
    sure: Sequence[Links],
    possible: Sequence[Links],
    right: Sequence[np.ndarray] | None = None,
) -> dict[str, float | int | None]:
    """Compute alignment measures of a corpus, each a mean over its target positions (not over its examples).

    For each example: weights (T, S) ≥ 0, or None for a model without weights; `sure` and `possible`, sets of gold
    source positions by target position; `right` (T,) booleans, true where the predicted token was right. Row t is
    compared with the sets of position t, up to the shorter of the two; other rows are not compared. With free decoding,
    pass only the sets before the first token that differs from the reference: a dropped or added token shifts all later
    positions. A position past the end of `right` is not right.

    With a = argmax of a row (ties: the first), over compared positions with a sure set:

    - alignment_accuracy: a in the sure set
    - gold_mass: weight on the sure set / weight of the row, 0 to 1
    - alignment_accuracy_given_right: alignment_accuracy where `right` is true; omitted without `right`
    - best_offset_accuracy: a + d in the sure set, for the integer d that maximizes it, `best_offset` (ties: smallest
      |d|, negative first)
    - alignment_positions: the number of these positions

    Over all compared positions, aer = 1 − (|A ∩ S| + |A ∩ P|) / (|A| + |S|) with the links A = {(t, a)}, sure links S
    and possible links P ⊇ S (Och & Ney 2003). Over all rows, compared or not: entropy −Σ p ln p in nats of the row
    normalized to one, and effective_positions exp(entropy); so exclude the rows of EOS and of padding.

    A row without weight makes no link: it is wrong, with mass 0, and has no entropy. A measure without any position is
    None. Raises ValueError when the lists differ in length or a gold position lies outside the source.
    """
    if not len(weights) == len(sure) == len(possible) == len(right if right is not None else sure):
        raise ValueError(f"got {len(weights)} weights, {len(sure)} sure and {len(possible)} possible alignments")
    given = right if right is not None else [np.zeros(0, dtype=bool)] * len(weights)
    found = [compared(*each) for each in zip(weights, sure, possible, given, strict=True)]
    return corpus(found, right is not None)


class Compared(NamedTuple):
    """One example compared with its gold: the share of weight on gold of each row with a sure set, the entropy of each
    row with weight, and for each compared position its argmax (-1 without weight), both sets, and whether its token was
    right."""

    masses: np.ndarray
    entropies: np.ndarray
    links: list[tuple[int, frozenset[int], frozenset[int], bool]]


def compared(weights: np.ndarray | None, sure: Links, possible: Links, right: np.ndarray) -> Compared | None:
    """Compare one example as `measure` does; None without weights."""
    if weights is None:
        return None
    totals = weights.sum(1, dtype=np.float64)
    argmax = np.where(totals > 0, weights.argmax(1), -1).tolist()
    return Compared(
        _gold_mass(weights, totals, sure),
        _entropy(weights[totals > 0] / totals[totals > 0, None]),
        [
            (a, s, p, t < len(right) and bool(right[t]))
            for t, (a, s, p) in enumerate(zip(argmax, sure, possible, strict=False))
        ],
    )


def corpus(examples: Sequence[Compared | None], with_right: bool) -> dict[str, float | int | None]:
    """Return the measures of `measure` for a set of compared examples."""
    known = [example for example in examples if example is not None]
    links = [link for example in known for link in example.links]
    gold = [(a, s, ok) for a, s, _, ok in links if s]
    entropy = np.concatenate([example.entropies for example in known]) if known else np.zeros(0)
    given_right = _mean([a in s for a, s, ok in gold if ok])
    return {
        "alignment_accuracy": _mean([a in s for a, s, _ in gold]),
        "gold_mass": _mean(np.concatenate([example.masses for example in known])) if known else None,
        "aer": _aer([(a, s, p) for a, s, p, _ in links]),
        "entropy": _mean(entropy),
        "effective_positions": _mean(np.exp(entropy)),
        **_best_offset([(a, s) for a, s, _ in gold]),
        **({"alignment_accuracy_given_right": given_right} if with_right else {}),
        "alignment_positions": len(gold) or None,
    }


def _mean(values: Sequence[bool] | np.ndarray) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _gold_mass(rows: np.ndarray, totals: np.ndarray, sure: Links) -> np.ndarray:
    """Return, for each row with a sure set, the share of its weight on that set."""
    marked = np.zeros(rows.shape, dtype=bool)
    for t, positions in enumerate(sure[: len(rows)]):
        if positions and not 0 <= min(positions) <= max(positions) < rows.shape[1]:
            raise ValueError(f"gold positions {sorted(positions)} of a source with {rows.shape[1]} positions")
        marked[t, list(positions)] = True
    on_gold = np.where(marked, rows, 0.0).sum(1, dtype=np.float64)
    share = np.divide(on_gold, totals, out=np.zeros_like(totals), where=totals > 0)
    return share[marked.any(1)]


def _entropy(p: np.ndarray) -> np.ndarray:
    logarithms = np.log(p, out=np.zeros_like(p, dtype=np.float64), where=p > 0)
    return np.asarray(-(p * logarithms).sum(1))


def _aer(links: Sequence[tuple[int, frozenset[int], frozenset[int]]]) -> float | None:
    made = sum(a >= 0 for a, _, _ in links)
    gold = sum(len(s) for _, s, _ in links)
    if made + gold == 0:
        return None
    hits = sum((a in s) + (a in s or a in p) for a, s, p in links)
    return 1 - hits / (made + gold)


def _best_offset(links: Sequence[tuple[int, frozenset[int]]]) -> dict[str, float | int | None]:
    if not links:
        return {"best_offset_accuracy": None, "best_offset": None}
    counts = Counter(g - a for a, s in links if a >= 0 for g in s)
    if not counts:
        return {"best_offset_accuracy": 0.0, "best_offset": 0}
    offset = min(counts, key=lambda d: (-counts[d], abs(d), d))
    return {"best_offset_accuracy": counts[offset] / len(links), "best_offset": offset}
