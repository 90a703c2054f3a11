"""Compute statistics of result tables: counts, means over seeds, paired tests, Pareto fronts. No torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from softlookup.analysis.load import CELL, FOREIGN
from softlookup.analysis.step_timing import MEDIAN

QUALITY = "test/token_accuracy"
SUMMARY = (
    QUALITY,
    "test/exact_match",
    "test/forced/alignment_accuracy",
    "test/bleu_lowercased",
    "cost/peak_bytes",
    MEDIAN,
    "cost/seconds_per_step",
)
ALWAYS = ("finished", "failed", "diverged", "missing")
SOMETIMES = ("out_of_memory", "preempted", "running", "queued")
OTHERS = ("not counted", *FOREIGN)
MOST_EXACT_PAIRS = 20  # 2^20 sign patterns are summed in a second; beyond it they are sampled
SAMPLED_PATTERNS = 100_000


def counts(rows: pd.DataFrame) -> pd.DataFrame:
    """Count cells by experiment (index) and what became of them (columns): planned, then `ALWAYS` also where it is 0,
    then other states that there are, and last the runs that no plan names as `not counted`, and those of other code."""
    told = rows["status"].where(rows["planned"] | rows["status"].isin(FOREIGN), "not counted")
    table = pd.crosstab(rows["experiment"], told)
    others = [name for name in (*SOMETIMES, *OTHERS) if name in table]
    table = table.reindex(columns=[*ALWAYS, *others], fill_value=0)
    table.insert(0, "planned", rows.groupby("experiment")["planned"].sum())
    return table


def summary(rows: pd.DataFrame, metrics: Sequence[str] = SUMMARY) -> pd.DataFrame:
    """By experiment, task and variant: fixed, n (counted), planned, and for each metric its mean over seeds under
    its own name and its standard deviation (n - 1) under `NAME/std`. Metrics that no row has are left out."""
    planned = rows[rows["planned"]]
    grouped = planned.groupby(CELL)
    table = grouped.agg(fixed=("fixed", "first"), n=("counted", "sum"), planned=("planned", "sum"))
    counted = planned[planned["counted"]].groupby(CELL)
    for metric in (name for name in metrics if name in rows):
        table[metric] = counted[metric].mean()
        table[f"{metric}/std"] = counted[metric].std()
    order = ["experiment", "task", "fixed", "variant"]
    return table.reset_index().sort_values(order, ascending=[True, True, False, True], ignore_index=True)


def spread(cells: pd.DataFrame, at: str) -> pd.DataFrame:
    """By variant and `at`: mean, low, high and n of `value` over seeds, and `resampled`, which says what low and high
    are: of several seeds the lowest and the highest; of a single one the bounds that it gave itself, where it did.
    """
    places = cells.groupby(["variant", at])
    of = {"mean": "mean", "low": "min", "high": "max", "n": "size"}
    table = places.agg(**{name: ("value", what) for name, what in of.items()})
    resampled = _resampled(cells)
    table["resampled"] = resampled.reindex(table.index, level="variant")
    for end in ("low", "high") if resampled.any() else ():
        table[end] = places[f"band_{end}"].mean().where(table["resampled"]).fillna(table[end])
    return table


def _resampled(cells: pd.DataFrame) -> pd.Series:
    """By variant: whether a single seed gave bounds of its own."""
    seeds = cells.groupby("variant")["seed"].nunique()
    bounds = cells.reindex(columns=["band_low", "band_high"]).notna().any(axis=1)
    return bounds.groupby(cells["variant"]).any() & (seeds == 1)


def band_note(chosen: pd.DataFrame) -> str:
    """Return what the bands around one measure's lines are; `chosen` as `by_length` gives them."""
    several = (chosen.groupby("variant")["seed"].nunique() > 1).any()
    seeds = "lowest to highest seed" if several else ""
    resampled = "95 % of 1,000 bootstrap resamples of the test sentences" if _resampled(chosen).any() else ""
    if seeds and resampled:
        return f"bands: {seeds}; where there is a single one, {resampled}"
    return f"bands: {seeds or f'{resampled} (one seed)'}" if seeds or resampled else "one seed: no bands"


def length_axis(buckets: pd.DataFrame) -> str:
    """Name the axis of source lengths by the unit in which they are counted; `buckets` as `by_length` gives them."""
    return f"source length ({' or '.join(buckets['unit'].unique()) or 'tokens'})"


def limits(cells: pd.DataFrame) -> list[tuple[float, str]]:
    """Return the longest source lengths of training, each with what to write at it: several share the words.

    >>> limits(pd.DataFrame({"longest": [30, 15, 30]}))
    [(15.0, 'trained to 15'), (30.0, '30')]
    """
    found = sorted(float(longest) for longest in cells["longest"].dropna().unique())
    if len(found) == 1:
        return [(found[0], "longest in training")]
    return [(longest, f"{'' if place else 'trained to '}{longest:g}") for place, longest in enumerate(found)]


def sign_flip(differences: Sequence[float]) -> tuple[float, float]:
    """Two-sided sign-flip test of paired differences: its p, and the smallest p that n pairs can reach, 2 / 2^n.

    p is the share of the 2^n sign patterns whose |sum| is at least the observed one (Fisher's randomization test).
    Above 20 pairs, 100,000 patterns are sampled, and p = (hits + 1) / 100,001.

    >>> sign_flip([1.0, 2.0, 3.0])
    (0.25, 0.25)
    """
    values = np.asarray(differences, dtype=float)
    if len(values) == 0:
        return float("nan"), 1.0
    reach = abs(values.sum()) - 1e-9 * np.abs(values).sum()  # equal sums must not differ by their rounding
    if len(values) > MOST_EXACT_PAIRS:
        generator, total = np.random.default_rng(0), np.zeros(SAMPLED_PATTERNS)
        for value in values:
            total += value * (2 * generator.integers(0, 2, SAMPLED_PATTERNS, dtype=np.int8) - 1)
        hits = int((np.abs(total) >= reach).sum())
        return (hits + 1) / (SAMPLED_PATTERNS + 1), 1 / (SAMPLED_PATTERNS + 1)
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    return float((np.abs(sums) >= reach).mean()), min(1.0, 2.0 / len(sums))


def front(cost: Sequence[float], quality: Sequence[float]) -> list[int]:
    """Indices of the Pareto front, cheapest first: no other point costs at most as much for better quality, nor less
    for the same. NaN is never on it.

    >>> front([3.0, 1.0, 2.0], [0.9, 0.5, 0.4])
    [1, 0]
    """
    places = [i for i in range(len(cost)) if not np.isnan(cost[i]) and not np.isnan(quality[i])]
    found: list[int] = []
    for i in sorted(places, key=lambda i: (cost[i], -quality[i])):
        if not found or quality[i] > quality[found[-1]]:
            found.append(i)
    return found
