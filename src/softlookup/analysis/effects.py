"""Compute the primary effects of an experiment: each attention against the best fixed context, at one length. No torch.

The measure is BLEU where a task has text, otherwise token accuracy; the length is the bucket beyond training that is
nearest to twice the longest source of training. Neither depends on a result. All other comparisons are exploratory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pandas as pd

from softlookup.analysis.load import CELL
from softlookup.analysis.pairs import VALIDATION, against_each, against_fixed
from softlookup.analysis.spans import spans

ALPHA = 0.05
TRAINED = ["experiment", "task", "longest", "budget"]
PLACE = ["longest", "budget", "measure", "span", "unit"]
TEXT, TOKENS = "bleu_lowercased", "token_accuracy"
_VALUE = "primary"


def primary(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the primary effects, the largest gain of each task first: the columns of `against_fixed`, with
    `reference` in place of its baseline; longest and budget of the runs; measure, span and unit of the place; the mean
    validation loss; and `decided`, whether p_holm ≤ 0.05."""
    found = _compared(rows, against_fixed).rename(columns={"baseline": "reference"})
    found["decided"] = found["p_holm"] <= ALPHA
    return _sorted(found)


def exploratory(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the effects of all comparable pairs at the same places (`against_each`), the largest gain first."""
    return _sorted(_compared(rows, against_each))


def _compared(rows: pd.DataFrame, compare: Callable[[pd.DataFrame, str], pd.DataFrame]) -> pd.DataFrame:
    measured = pd.concat([*_measured(rows), rows.iloc[:0].assign(**dict.fromkeys((_VALUE, *PLACE), 0.0))])
    about = measured.groupby(CELL)[PLACE].first()
    about[VALIDATION] = measured.reindex(columns=[*CELL, VALIDATION]).groupby(CELL)[VALIDATION].mean()
    return compare(measured, _VALUE).join(about, on=CELL)


def _sorted(effects: pd.DataFrame) -> pd.DataFrame:
    order = [*TRAINED, "difference"]
    return effects.sort_values(order, ascending=[True, True, True, True, False], ignore_index=True)


def _measured(rows: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Yield the planned runs of each task, training length and budget, with their value at the primary place and what
    that is. A run that did not finish has no value."""
    values = spans(rows)
    rows = rows.assign(budget=[settings.get("budget") for settings in rows["settings"]])
    for place, cells in rows[rows["counted"]].groupby(TRAINED, sort=False):
        mine = values.merge(cells[[*CELL, "seed"]], on=[*CELL, "seed"])
        mine = mine[mine["measure"] == (TEXT if (mine["measure"] == TEXT).any() else TOKENS)]
        later = mine[(mine["low"] > mine["longest"]) & (mine["span"] != "beyond")]
        if later.empty:
            continue
        middle = (later["low"] + later["high"]) / 2
        chosen = later.loc[(middle - 2 * later["longest"]).abs().sort_values(kind="stable").index[0]]
        there = later[later["span"] == chosen["span"]].set_index(["variant", "seed"])["value"]
        unfinished = rows[rows["planned"] & ~rows["counted"] & rows["variant"].isin(cells["variant"])]
        unfinished = unfinished[(unfinished[TRAINED[:2]] == place[:2]).all(axis=1)]
        both = pd.concat([cells, unfinished])
        index = pd.MultiIndex.from_frame(both[["variant", "seed"]])
        what = {"longest": place[2], "budget": place[3], **{name: chosen[name] for name in ("measure", "span", "unit")}}
        yield both.assign(**{_VALUE: there.reindex(index).to_numpy()}, **what)
