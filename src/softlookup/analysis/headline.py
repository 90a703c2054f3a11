"""State in one sentence per task what attention buys beyond the training length, and what it costs. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pandas as pd

from softlookup.analysis.effects import TRAINED, primary
from softlookup.analysis.measures import title
from softlookup.analysis.pairs import VALIDATION
from softlookup.analysis.step_timing import MEDIAN
from softlookup.analysis.tables import gain_text

COSTS = {MEDIAN: "time", "cost/peak_bytes": "memory"}


def headlines(rows: pd.DataFrame) -> list[str]:
    """Return a sentence for each task, training length and budget of an experiment in which an attention is compared
    with a fixed context.

    It is about the attention with the lowest validation loss and the source length nearest to twice the longest of
    training, so nothing in it is chosen on the test set. Its p is corrected for all primary effects of the experiment.
    """
    effects = primary(rows)
    families = effects.groupby("experiment")["p"].count()
    found = []
    for (experiment, *_), gains in effects[effects["pairs"] > 0].groupby(TRAINED, sort=False):
        best = gains.sort_values(VALIDATION).iloc[0]
        found.append(f"{best['task']}: {_sentence(best, rows, int(families[str(experiment)]))}")
    return found


def _sentence(gain: pd.Series, rows: pd.DataFrame, family: int) -> str:
    bought = f"{gain_text(gain, gain['measure'])} of {title(gain['measure'])}"
    twice = gain["span"] == f"{2 * gain['longest']:g}"
    where = ", twice the training length," if twice else f" (trained to {gain['longest']:g})"
    length = f"at {gain['span']} {gain['unit']}{where}"
    ratios = [f"{ratio:.2f} × the {name}" for name, ratio in _ratios(gain, rows)]
    price = f", for {' and '.join(ratios)} of a training step" if ratios else ""
    seeds = f"{gain['pairs']} seeds of {gain['budget']:,.0f} target tokens"
    return f"{gain['variant']} buys {bought} {length} over {gain['reference']}{price}; {seeds}, {_sure(gain, family)}"


def _sure(gain: pd.Series, family: int) -> str:
    """Return the corrected p, what is missing to decide, and which planned runs the figure lacks."""
    words = f"Holm p = {gain['p_holm']:.2g} of {family}"
    if not gain["decided"]:
        few = gain["pairs"] < gain["pairs_needed"]
        words += f": not decided ({gain['pairs_needed']} seeds could decide it)" if few else ": not decided"
    return f"{words}; without {gain['missing']}" if gain["missing"] else words


def _ratios(gain: pd.Series, rows: pd.DataFrame) -> Iterator[tuple[str, float]]:
    """Yield the costs of the attention as ratios to those of the fixed context; none that was not measured."""
    cells = rows[rows["counted"] & (rows["experiment"] == gain["experiment"]) & (rows["task"] == gain["task"])]
    for column, name in COSTS.items():
        if column in cells:
            means = cells.groupby("variant")[column].mean()
            ratio = means.get(gain["variant"], math.nan) / means.get(gain["reference"], math.nan)
            if not math.isnan(ratio):
                yield name, float(ratio)
