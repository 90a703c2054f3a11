"""Compute statistics of result tables: counts, means over seeds, bands. No torch."""

from __future__ import annotations

from collections.abc import Sequence

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
