"""State in one sentence per task what attention buys beyond the training length, and what it costs. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pandas as pd

from softlookup.analysis.load import CELL, by_length
from softlookup.analysis.measures import title
from softlookup.analysis.pairs import VALIDATION, against_fixed
from softlookup.analysis.step_timing import MEDIAN
from softlookup.analysis.tables import gain_text

DECIDED = 0.05
TRAINED = ["experiment", "task", "longest"]
COSTS = {MEDIAN: "time", "cost/peak_bytes": "memory"}
# The measure of a task with text, and of one without.
TEXT, TOKENS = "bleu_lowercased", "token_accuracy"


def headlines(rows: pd.DataFrame) -> list[str]:
    """Return a sentence for each task and training length of an experiment in which an attention is compared with a
    fixed context.

    It is about the attention with the lowest validation loss and the source length nearest to twice the longest of
    training, so nothing in it is chosen on the test set. Its p is corrected for all gains of the experiment at these
    lengths.
    """
    measured = pd.concat([*_measured(rows), rows.iloc[:0]])
    if "beyond" not in measured:
        return []
    gains = against_fixed(measured, "beyond")
    about = measured.reindex(columns=[*CELL, "longest", VALIDATION]).groupby(CELL).mean()
    gains = gains.join(about, on=CELL)
    found = []
    for (experiment, task, longest), cells in gains[gains["pairs"] > 0].groupby(TRAINED, sort=False):
        mine = measured[(measured[TRAINED] == (experiment, task, longest)).all(axis=1)]
        best = cells.sort_values(VALIDATION).iloc[0]
        family = int(gains.loc[gains["experiment"] == experiment, "p"].notna().sum())
        found.append(f"{task}: {_sentence(best, mine, family)}")
    return found


def _measured(rows: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Yield the counted runs of each task and training length with their value at the chosen length as `beyond`, and as
    `where` what that is."""
    buckets = by_length(rows)
    for place, cells in rows[rows["counted"]].groupby(TRAINED, sort=False):
        own = buckets[(buckets[TRAINED] == place).all(axis=1)]
        own = own[own["measure"] == (TEXT if (own["measure"] == TEXT).any() else TOKENS)]
        later = own[own["low"] > own["longest"]]
        if later.empty:
            continue
        nearest = (later["length"] - 2 * later["longest"]).abs().sort_values().index[0]
        chosen = later.loc[nearest, ["low", "high", "longest", "unit", "measure"]].to_dict()
        there = later[(later["low"] == chosen["low"]) & (later["high"] == chosen["high"])]
        values = there.set_index(["variant", "seed"])["value"]
        index = pd.MultiIndex.from_frame(cells[["variant", "seed"]])
        yield cells.assign(beyond=values.reindex(index).to_numpy(), where=[chosen] * len(cells))


def _sentence(gain: pd.Series, cells: pd.DataFrame, family: int) -> str:
    where = cells["where"].iloc[0]
    span = f"{where['low']:g}" if where["low"] == where["high"] else f"{where['low']:g} to {where['high']:g}"
    bought = f"{gain_text(gain, where['measure'])} of {title(where['measure'])}"
    length = f"at {span} {where['unit']} (trained to {where['longest']:g})"
    ratios = [f"{ratio:.2f} × the {name}" for name, ratio in _ratios(gain, cells)]
    price = f", for {' and '.join(ratios)} of a training step" if ratios else ""
    sure = f"{gain['pairs']} pairs of seeds, p = {gain['p_holm']:.2g} by Holm over {family}"
    if gain["p_holm"] > DECIDED:
        few = gain["pairs"] < gain["pairs_needed"]
        sure += f": not decided ({gain['pairs_needed']} seeds could decide it)" if few else ": not decided"
    return f"{gain['variant']} buys {bought} {length} over {gain['baseline']}{price}; {sure}"


def _ratios(gain: pd.Series, cells: pd.DataFrame) -> Iterator[tuple[str, float]]:
    """Yield the costs of the attention as ratios to those of the fixed context; none that was not measured."""
    for column, name in COSTS.items():
        if column in cells:
            means = cells.groupby("variant")[column].mean()
            ratio = means.get(gain["variant"], math.nan) / means.get(gain["baseline"], math.nan)
            if not math.isnan(ratio):
                yield name, float(ratio)
