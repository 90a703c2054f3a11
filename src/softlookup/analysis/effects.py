"""Compute the primary effects of an experiment: each attention against the best fixed context, at one length. No torch.

The measure is BLEU where a task has text, otherwise token accuracy; the length is the bucket beyond training that is
nearest to twice the longest source of training, or the whole test set where nothing is longer. Neither depends on a
result. All other comparisons are exploratory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pandas as pd

from softlookup.analysis.inference import interquartile_mean, performance_profile
from softlookup.analysis.load import CELL
from softlookup.analysis.measures import percent
from softlookup.analysis.pairs import VALIDATION, against_each, against_first, against_fixed, corrected
from softlookup.analysis.spans import ALL, spans

ALPHA = 0.05
TRAINED = ["experiment", "task", "longest", "budget"]
PLACE = ["longest", "budget", "measure", "span", "unit"]
TEXT, TOKENS = "bleu_lowercased", "token_accuracy"
NORMAL = 1.96  # half the width of a 95 % interval in standard deviations
_TASK = ["experiment", "task"]
_VALUE, _WIDTH = "primary", "primary/width"


def primary(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the primary effects, the largest gain of each task first: the columns of `against_fixed`, with
    `reference` in place of its baseline; longest and budget of the runs; measure, span and unit of the place; the mean
    validation loss; `seed_deviation`, the standard deviation over seeds of the attention's value, and beside it
    `sentence_deviation`, that over resamples of the test sentences of one run (the mean width of its 95 %
    bounds / 3.92, NaN without); and `decided`, whether p_holm ≤ 0.05."""
    found = _compared(rows, against_fixed).rename(columns={"baseline": "reference"})
    expected = {str(name): _expected(cells, found) for name, cells in rows.groupby("experiment")}
    found = corrected(found, expected)
    found["decided"] = found["p_holm"] <= ALPHA
    return _sorted(found)


def _expected(rows: pd.DataFrame, effects: pd.DataFrame) -> int:
    """Return how many planned comparisons of an experiment have no p yet, but may still get one: a run of the attention
    or of a fixed context of its task is not finished."""
    planned = rows[rows["planned"]]
    cells = planned.groupby(["task", "variant"]).agg(fixed=("fixed", "first"), whole=("counted", "all")).reset_index()
    fixed = cells[cells["fixed"]]
    known = {*effects.loc[effects["p"].notna(), CELL].itertuples(index=False, name=None)}
    experiment = rows["experiment"].iloc[0]
    waiting = {*fixed.loc[~fixed["whole"], "task"]}
    return sum(
        (experiment, task, name) not in known and (not whole or task in waiting)
        for task, name, is_fixed, whole in cells[cells["task"].isin(fixed["task"])].itertuples(index=False)
        if not is_fixed
    )


def exploratory(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the effects of all comparable pairs at the same places (`against_each`), the largest gain first."""
    return _sorted(_compared(rows, against_each))


def alternatives(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the effects of all variants over the one that the plan lists first (`against_first`), at the same places,
    for tasks without a fixed context: which score, which curriculum. They are exploratory."""
    fixed = set(rows.loc[rows["fixed"], _TASK].itertuples(index=False, name=None))
    rows = rows[[place not in fixed for place in rows[_TASK].itertuples(index=False, name=None)]]
    firsts = rows[rows["planned"]].drop_duplicates(_TASK)[CELL].itertuples(index=False, name=None)
    first = {(experiment, task): variant for experiment, task, variant in firsts}
    return _sorted(_compared(rows, partial(against_first, first=first)))


def profiles(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the performance profile of each variant at the primary place, in long format: the cell, `PLACE`, iqm (the
    interquartile mean over seeds), threshold, and the share of runs whose value exceeds it.

    Thresholds are the hundredths of the largest possible value: 1 for shares, 100 for BLEU.
    """
    found = []
    measured = pd.concat([*_measured(rows), rows.iloc[:0]])
    for cell, cells in measured[measured["counted"]].groupby([*CELL, *PLACE], dropna=False):
        values = cells[_VALUE].dropna().to_list()
        scale = 1.0 if percent(str(cells["measure"].iloc[0])) else 100.0
        thresholds = [scale * step / 100 for step in range(100)]
        shares = performance_profile(values, thresholds)
        pairs = zip(thresholds, shares, strict=True)
        found += [[*cell, interquartile_mean(values), *pair] for pair in pairs if values]
    return pd.DataFrame(found, columns=[*CELL, *PLACE, "iqm", "threshold", "share"])


def _compared(rows: pd.DataFrame, compare: Callable[[pd.DataFrame, str], pd.DataFrame]) -> pd.DataFrame:
    measured = pd.concat([*_measured(rows), rows.iloc[:0].assign(**dict.fromkeys((_VALUE, _WIDTH, *PLACE), 0.0))])
    about = measured.groupby(CELL)[PLACE].first()
    cells = measured.reindex(columns=[*measured, VALIDATION]) if VALIDATION not in measured else measured
    about[VALIDATION] = cells.groupby(CELL)[VALIDATION].mean()
    about["seed_deviation"] = cells.groupby(CELL)[_VALUE].std()
    about["sentence_deviation"] = cells.groupby(CELL)[_WIDTH].mean() / (2 * NORMAL)
    return compare(measured, _VALUE).join(about, on=CELL)


def _sorted(effects: pd.DataFrame) -> pd.DataFrame:
    order = [*TRAINED, "difference"]
    return effects.sort_values(order, ascending=[True, True, True, True, False], ignore_index=True)


def _measured(rows: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Yield the planned runs of each task, training length and budget, with their value at the primary place and what
    that is. A run that did not finish has no value."""
    values = spans(rows)
    rows = rows.assign(budget=[settings.get("budget") for settings in rows["settings"]])
    for place, cells in rows[rows["counted"]].groupby(TRAINED, sort=False, dropna=False):
        mine = values.merge(cells[[*CELL, "seed"]], on=[*CELL, "seed"])
        mine = mine[mine["measure"] == (TEXT if (mine["measure"] == TEXT).any() else TOKENS)]
        later = mine[(mine["low"] > mine["longest"]) & (mine["span"] != "beyond")]
        if mine.empty:
            continue
        middle = (later["low"] + later["high"]) / 2
        nearest = (middle - 2 * later["longest"]).abs().sort_values(kind="stable").index
        later = mine[mine["span"] == ALL] if later.empty else later
        chosen = later.loc[nearest[0]] if len(nearest) else later.iloc[0]
        there = later[later["span"] == chosen["span"]].set_index(["variant", "seed"])
        unfinished = rows[rows["planned"] & ~rows["counted"] & rows["variant"].isin(cells["variant"])]
        unfinished = unfinished[(unfinished[TRAINED[:2]] == place[:2]).all(axis=1)]
        both = pd.concat([cells, unfinished])
        index = pd.MultiIndex.from_frame(both[["variant", "seed"]])
        what = {"longest": place[2], "budget": place[3], **{name: chosen[name] for name in ("measure", "span", "unit")}}
        there = there.reindex(index)
        width = (there["band_high"] - there["band_low"]).to_numpy()
        yield both.assign(**{_VALUE: there["value"].to_numpy(), _WIDTH: width}, **what)
