"""State in one sentence per task what attention buys beyond the training length, and what it costs. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from softlookup.analysis.effects import TRAINED, primary
from softlookup.analysis.load import CELL
from softlookup.analysis.measures import percent, title
from softlookup.analysis.pairs import VALIDATION
from softlookup.analysis.spans import ALL
from softlookup.analysis.step_timing import MEDIAN
from softlookup.analysis.tables import gain_text

COSTS = {MEDIAN: "time", "cost/peak_bytes": "memory"}


@dataclass(frozen=True)
class Headline:
    """Hold the parts of a sentence: who gains how much (`gain`, with interval) over whom, of which quality at which
    length (`where`), at which price, over how many seeds, how sure, and what changes with a larger budget."""

    experiment: str
    task: str
    variant: str
    reference: str
    gain: str
    quality: str
    where: str
    price: str
    seeds: str
    p: str
    longer: str

    def __str__(self) -> str:
        bought = f"{self.gain} of {self.quality}" if self.quality else self.gain
        verb = "gives" if self.gain.startswith("-") else "buys"
        price = f", for {self.price}" if self.price else ""
        longer = f". With {self.longer}" if self.longer else ""
        return (
            f"{self.task}: {self.variant} {verb} {bought} {self.where} over {self.reference} (both chosen "
            f"by validation loss){price}; {self.seeds}, "
            f"Holm p = {self.p}{longer}"
        )


def headlines(rows: pd.DataFrame) -> list[str]:
    """Return the sentence of each task, training length and budget (`findings`)."""
    return [str(one) for one in findings(rows)]


def findings(rows: pd.DataFrame, effects: pd.DataFrame | None = None) -> list[Headline]:
    """Return a sentence in parts for each task, training length and budget of an experiment in which an attention is
    compared with a fixed context.

    It is about the attention with the lowest validation loss, at the primary place (`analysis.effects`), so nothing in
    it is chosen on the test set. Its p is corrected for all primary effects of the experiment. What a larger budget
    gives may come from another experiment. `effects` are those of `primary`, if they are known already.
    """
    effects = (primary(rows) if effects is None else effects).copy()
    variants = {tuple(cell): settings for *cell, settings in rows[[*CELL, "settings"]].itertuples(index=False)}
    effects["identity"] = [_but_budget(variants[tuple(cell)]) for cell in effects[CELL].itertuples(index=False)]
    effects = effects[effects["pairs"] > 0]
    found = []
    for (experiment, *_), gains in effects.groupby(TRAINED, sort=False, dropna=False):
        best = gains.sort_values(VALIDATION).iloc[0]
        same = effects[(effects["identity"] == best["identity"])]
        if not ((same["budget"] < best["budget"]) & (same["experiment"] == experiment)).any():
            longer = same[same["budget"] > best["budget"]].sort_values("budget").drop_duplicates("budget")
            found.append(_finding(best, longer, rows))
    return found


def _but_budget(settings: Mapping[str, Any]) -> str:
    """Return a text that variants share which differ in the budget alone."""
    return repr(sorted((name, value) for name, value in settings.items() if name != "budget"))


def _longer(gain: pd.Series, longer: pd.DataFrame, rows: pd.DataFrame) -> str:
    """Return what the same attention buys at larger budgets, and whether the fixed context there goes on learning."""
    if longer.empty:
        return ""
    parts = [
        f"{one['budget'] / gain['budget']:g} × the budget {gain_text(one, one['measure'])} over "
        f"{_without_budget(one['reference'])}"
        for one in longer.to_dict("records")
    ]
    seeds = " to ".join(str(count) for count in sorted({longer["pairs"].min(), longer["pairs"].max()}))
    return f"{'; with '.join(parts)} ({seeds} seeds){_still_falls(gain, longer.iloc[-1], rows)}"


def _without_budget(variant: str) -> str:
    return " · ".join(part for part in variant.split(" · ") if not part.startswith("budget="))


def _still_falls(gain: pd.Series, last: pd.Series, rows: pd.DataFrame) -> str:
    """Return the validation loss of the fixed context at the largest budget as a ratio to that of the same context at
    the first budget, "" if unknown."""
    cells = rows[rows["counted"] & (rows["task"] == gain["task"])]
    if VALIDATION not in cells:
        return ""
    there = cells[(cells["experiment"] == last["experiment"]) & (cells["variant"] == last["reference"])]
    same = there["settings"].map(_but_budget).iloc[0]
    budgets = cells["settings"].map(lambda settings: settings.get("budget"))
    before = cells[(cells["settings"].map(_but_budget) == same) & (budgets == gain["budget"])]
    ratio = there[VALIDATION].mean() / before[VALIDATION].mean() if len(before) else math.nan
    name = _without_budget(last["reference"])
    return (
        "" if math.isnan(ratio) else f"; there the validation loss of {name} is {ratio:.2f} × that at the first budget"
    )


def _finding(gain: pd.Series, longer: pd.DataFrame, rows: pd.DataFrame) -> Headline:
    ratios = [f"{ratio:.2f} × the {name}" for name, ratio in _ratios(gain, rows)]
    return Headline(
        experiment=gain["experiment"],
        task=gain["task"],
        variant=gain["variant"],
        reference=gain["reference"],
        gain=gain_text(gain, gain["measure"]),
        quality=title(gain["measure"]) if percent(gain["measure"]) else "",
        where=length_text(gain),
        price=f"{' and '.join(ratios)} of a training step" if ratios else "",
        seeds=f"{gain['pairs']} seed{'' if gain['pairs'] == 1 else 's'} of {gain['budget']:,.0f} target tokens",
        p=_sure(gain),
        longer=_longer(gain, longer, rows),
    )


def length_text(gain: pd.Series) -> str:
    """Return the length that an effect of `analysis.effects` was measured at, and the training length."""
    twice = gain["span"] == f"{2 * gain['longest']:g}"
    trained = "" if math.isnan(gain["longest"]) else f" (trained to {gain['longest']:g})"
    if gain["span"] == ALL:
        return f"on the whole test set{trained}"
    return f"at {gain['span']} {gain['unit']}{', twice the training length,' if twice else trained}"


def _sure(gain: pd.Series) -> str:
    """Return the corrected p, what is missing to decide, and which planned runs the figure lacks."""
    words = f"{gain['p_holm']:.2g} of {gain['family']}"
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
