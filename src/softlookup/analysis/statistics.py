"""Compute statistics of result tables: counts, means over seeds, paired tests, the Pareto front. No torch."""

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
MOST_EXACT_PAIRS = 20  # 2^20 sign patterns take a second to sum; with more pairs they are sampled
SAMPLED_PATTERNS = 100_000


def counts(rows: pd.DataFrame) -> pd.DataFrame:
    """Count cells by experiment (index) and status (columns): planned; `ALWAYS`, even if 0; other states that occur;
    runs that are not in a plan, as `not counted`; and runs of other code."""
    status = rows["status"].where(rows["planned"] | rows["status"].isin(FOREIGN), "not counted")
    table = pd.crosstab(rows["experiment"], status)
    others = [name for name in (*SOMETIMES, *OTHERS) if name in table]
    table = table.reindex(columns=[*ALWAYS, *others], fill_value=0)
    table.insert(0, "planned", rows.groupby("experiment")["planned"].sum())
    return table


def summary(rows: pd.DataFrame, metrics: Sequence[str] = SUMMARY) -> pd.DataFrame:
    """Summarize by experiment, task and variant: fixed, n (counted), planned, and for each metric NAME its mean over
    seeds as NAME and its standard deviation (n - 1) as NAME/std. Metrics that no row has are omitted."""
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
    """Return by variant and `at`: mean, low, high and n of `value` over seeds, and `resampled`.

    low and high are the lowest and the highest seed, or, for a single seed with confidence bounds (`resampled`), those
    bounds.
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
    """Return by variant whether there is a single seed with confidence bounds."""
    seeds = cells.groupby("variant")["seed"].nunique()
    bounds = cells.reindex(columns=["band_low", "band_high"]).notna().any(axis=1)
    return bounds.groupby(cells["variant"]).any() & (seeds == 1)


def band_note(chosen: pd.DataFrame) -> str:
    """Describe the bands around the lines of one measure; `chosen` from `by_length`."""
    several = (chosen.groupby("variant")["seed"].nunique() > 1).any()
    seeds = "lowest to highest seed" if several else ""
    resampled = "95 % of 1,000 bootstrap resamples of the test sentences" if _resampled(chosen).any() else ""
    if seeds and resampled:
        return f"bands: {seeds}; where there is a single one, {resampled}"
    return f"bands: {seeds or f'{resampled} (one seed)'}" if seeds or resampled else "one seed: no bands"


def length_axis(buckets: pd.DataFrame) -> str:
    """Return the label of the axis of source lengths, with its unit; `buckets` from `by_length`."""
    return f"source length ({' or '.join(buckets['unit'].unique()) or 'tokens'})"


def limits(cells: pd.DataFrame) -> list[tuple[float, str]]:
    """Return the longest source lengths of training, each with its label; only the first of several is written out.

    >>> limits(pd.DataFrame({"longest": [30, 15, 30]}))
    [(15.0, 'trained to 15'), (30.0, '30')]
    """
    found = sorted(float(longest) for longest in cells["longest"].dropna().unique())
    if len(found) == 1:
        return [(found[0], "longest in training")]
    return [(longest, f"{'' if place else 'trained to '}{longest:g}") for place, longest in enumerate(found)]


def sign_flip(differences: Sequence[float]) -> tuple[float, float]:
    """Compute the two-sided sign-flip test of paired differences: p, and the smallest p possible with n pairs, 2 / 2^n.

    p is the share of the 2^n sign patterns whose |sum| is at least the observed one (Fisher's randomization test).
    Above 20 pairs, 100,000 patterns are sampled, and p = (hits + 1) / 100,001.

    >>> sign_flip([1.0, 2.0, 3.0])
    (0.25, 0.25)
    """
    values = np.asarray(differences, dtype=float)
    if len(values) == 0:
        return float("nan"), 1.0
    reach = abs(values.sum()) - 1e-9 * np.abs(values).sum()  # tolerance for rounding of equal sums
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
    """Return the indices of the Pareto front, cheapest first: no other point has better quality at the same or lower
    cost, or the same quality at lower cost. Points with NaN are excluded.

    >>> front([3.0, 1.0, 2.0], [0.9, 0.5, 0.4])
    [1, 0]
    """
    places = [i for i in range(len(cost)) if not np.isnan(cost[i]) and not np.isnan(quality[i])]
    found: list[int] = []
    for i in sorted(places, key=lambda i: (cost[i], -quality[i])):
        if not found or quality[i] > quality[found[-1]]:
            found.append(i)
    return found
