"""Compute gains of attention over fixed contexts, between runs that differ only in the attention. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations, product
from typing import Any

import pandas as pd

from softlookup.analysis.differences import differing, differing_at_all
from softlookup.analysis.inference import (
    bootstrap_interval,
    holm,
    pairs_needed,
    probability_of_improvement,
    sign_flip,
    t_interval,
)
from softlookup.analysis.load import CELL
from softlookup.analysis.statistics import QUALITY
from softlookup.analysis.variant_labels import TARGET

VALIDATION = "validation/loss"
EQUAL = {"task", "data", "budget"}  # parts that are equal wherever two variants are compared
EARLY = "other numbers of target tokens than {}: patience ended runs early"
_MOST_NAMED = 3


def comparable(rows: pd.DataFrame) -> pd.DataFrame:
    """List every variant of a task with every other: experiment, task, variant, reference, and why the two may not be
    compared, "" where they may."""
    found = []
    for place, cells in rows[rows["counted"]].groupby(["experiment", "task"]):
        task = _Task.of(cells, QUALITY)
        for name, other in permutations(task.variants, 2):
            found.append([*place, name, other, task.prevented(name, other)])
    return pd.DataFrame(found, columns=[*CELL, "reference", "why"])


def against_fixed(rows: pd.DataFrame, metric: str = QUALITY) -> pd.DataFrame:
    """Compare each variant with attention to a fixed context of its task, paired by seed.

    The two are equal except for the attention axis and tuned keys (`differing`), and saw equally many target tokens:
    there is no gain where patience ended one run of a pair earlier than the other. The baseline is, of such fixed
    contexts with the most seeds, the one with the lowest mean validation loss, so the choice does not depend on the
    test set.

    Columns: experiment, task, variant, baseline, pairs, difference (mean) with its 95 % intervals low to high (t) and
    bootstrap_low to bootstrap_high (studentized), p and smallest_p of `sign_flip`, improvement (the probability of),
    missing (planned runs of either variant that did not finish, by state), family (the number of gains of the
    experiment, over its tasks), p_holm (corrected for them), pairs_needed (with fewer no such p_holm can reach 0.05),
    unpaired, untuned (keys that
    the experiment tuned for the baseline, but not for the variant). Where there is no baseline or no pair, `unpaired`
    says why, and the difference is NaN. A task without `metric` has no rows.
    """
    found = []
    for place, task in _tasks(rows, metric):
        for name in task.attentions:
            baseline, why = _baseline({other: task.differing(name, other) for other in task.most_complete}, task.losses)
            if baseline and task.unequal(name, baseline):
                baseline, why = "", task.prevented(name, baseline)
            found.append([*place, name, baseline, *task.effect(name, baseline, why)])
    return corrected(pd.DataFrame(found, columns=[*CELL, "baseline", *_EFFECT]), {})


def corrected(gains: pd.DataFrame, expected: Mapping[str, int]) -> pd.DataFrame:
    """Return gains with family (the number of comparisons of their experiment), p_holm and pairs_needed.

    `expected` is the number of comparisons that have no p yet, by experiment. They count as if their p were 1: a gain
    that is decided now stays decided however they end.
    """
    gains = gains.assign(family=0, p_holm=math.nan, pairs_needed=0)
    for experiment, ps in gains.groupby("experiment")["p"]:
        more = expected.get(str(experiment), 0)
        size = int(ps.notna().sum()) + more
        gains.loc[ps.index, "p_holm"] = holm([*ps, *[1.0] * more])[: len(ps)]
        gains.loc[ps.index, "family"] = size
        gains.loc[ps.index, "pairs_needed"] = pairs_needed(max(1, size))
    return gains


def against_each(rows: pd.DataFrame, metric: str = QUALITY) -> pd.DataFrame:
    """Compare each attention with every fixed context and every other attention with which it may be compared.

    Columns as those of `against_fixed`, with `reference` in place of the baseline and without corrected p values: these
    comparisons are exploratory. Of two attentions the one with the higher mean comes first.
    """
    found = []
    for place, task in _tasks(rows, metric):
        means = task.values.mean()
        for name, other in product(task.attentions, task.variants):
            behind = other in task.attentions and (means[name], other) < (means[other], name)
            if name != other and not behind and not task.prevented(name, other):
                found.append([*place, name, other, *task.effect(name, other, "")])
    return pd.DataFrame(found, columns=[*CELL, "reference", *_EFFECT])


def against_first(rows: pd.DataFrame, metric: str, first: Mapping[tuple[str, str], str]) -> pd.DataFrame:
    """Compare each variant with the one named first for its experiment and task, whichever one part they differ in.

    Columns as those of `against_each`, and exploratory as they are. There is no difference between variants that differ
    in more than one part (in encoder and curriculum), in data or in budget; `unpaired` names the settings.
    """
    found = []
    for place, task in _tasks(rows, metric):
        reference = first.get(place, "")
        for name in (name for name in task.variants if reference in task.variants and name != reference):
            differs = differing_at_all(task.variants[name], task.variants[reference])
            parts = {key.split(".")[0] for key in differs}
            why = f"{reference} differs in {_named(differs)}" if len(parts) > 1 or parts & EQUAL else ""
            why = why or (EARLY.format(reference) if task.unequal(name, reference) else "")
            found.append([*place, name, "" if why else reference, *task.effect(name, "" if why else reference, why)])
    return pd.DataFrame(found, columns=[*CELL, "reference", *_EFFECT])


def _tasks(rows: pd.DataFrame, metric: str) -> Iterator[tuple[tuple[str, str], _Task]]:
    """Yield the tasks of each experiment that measured a metric."""
    measured = rows[rows["counted"] & rows[metric].notna()] if metric in rows else rows.iloc[:0]
    for (experiment, name), cells in rows.groupby(["experiment", "task"]):
        if cells.index.isin(measured.index).any():
            yield (str(experiment), str(name)), _Task.of(cells, metric)


@dataclass(frozen=True)
class _Task:
    """Hold the runs of one task of an experiment, to be compared by one metric.

    `cells` are the counted runs with the metric, `lacking` the planned ones that did not finish.
    """

    cells: pd.DataFrame
    lacking: pd.DataFrame
    variants: dict[str, dict[Any, Any]]
    losses: pd.Series
    values: pd.DataFrame
    seeds: dict[str, frozenset[int]]

    @classmethod
    def of(cls, rows: pd.DataFrame, metric: str) -> _Task:
        cells = rows[rows["counted"] & rows[metric].notna()]
        table = cells.groupby("variant")[["fixed", "settings", "tuned", "matched", "variant_key"]].first()
        return cls(
            cells,
            rows[rows["planned"] & ~rows["counted"]],
            {str(name): one for name, one in zip(table.index, table.to_dict("records"), strict=True)},
            cells.reindex(columns=["variant", VALIDATION]).groupby("variant")[VALIDATION].mean(),
            cells.pivot_table(index="seed", columns="variant", values=metric),
            {str(name): frozenset(seeds) for name, seeds in cells.groupby("variant")["seed"]},
        )

    @property
    def fixed(self) -> list[str]:
        return [name for name, one in self.variants.items() if one["fixed"]]

    @property
    def most_complete(self) -> list[str]:
        """Return the fixed contexts with the most seeds: mean losses over different seeds cannot be compared."""
        most = max((len(self.seeds[name]) for name in self.fixed), default=0)
        return [name for name in self.fixed if len(self.seeds[name]) == most]

    @property
    def attentions(self) -> list[str]:
        return [name for name, one in self.variants.items() if not one["fixed"]]

    def differing(self, name: str, other: str) -> list[str]:
        return differing(self.variants[name], self.variants[other])

    def unequal(self, name: str, other: str) -> bool:
        """Return whether paired runs ended early after different numbers of tokens."""
        if not self.cells["early"].any():
            return False
        cells = self.cells[self.cells["seed"].isin(self._differences(name, other).index)]
        both = cells[cells["variant"].isin([name, other])].reindex(columns=["seed", "early", "train/tokens"])
        early = both[both["seed"].isin(both.loc[both["early"], "seed"])]
        return bool(len(early)) and bool((early.groupby("seed")["train/tokens"].nunique(dropna=False) > 1).any())

    def prevented(self, name: str, other: str) -> str:
        """Return why two variants may not be compared, "" if they may."""
        differs = self.differing(name, other)
        if differs:
            return f"{other} differs in {_named(differs)}"
        if not self.seeds[name] & self.seeds[other]:
            return f"no seed in common with {other}"
        return EARLY.format(other) if self.unequal(name, other) else ""

    def _differences(self, name: str, other: str) -> pd.Series:
        return (self.values[name] - self.values[other]).dropna()

    def effect(self, name: str, other: str, why: str) -> list[Any]:
        """Return the values of the columns `_EFFECT`; without `other` there are no differences, and `why` says so."""
        differences = self._differences(name, other) if other else pd.Series(dtype=float)
        if other and differences.empty:
            why = f"no seed in common with {other}"
        both = self.values.loc[differences.index]
        chance = (
            probability_of_improvement(both[name].to_list(), both[other].to_list()) if len(differences) else math.nan
        )
        paired = [float(value) for value in differences]
        untuned = sorted({*self.variants[other]["tuned"]} - {*self.variants[name]["tuned"]}) if other else []
        missing = self.lacking.loc[self.lacking["variant"].isin([name, other]), "status"].value_counts(sort=False)
        counted = ", ".join(f"{count} {str(status).replace('_', ' ')}" for status, count in sorted(missing.items()))
        intervals = [*t_interval(paired), *bootstrap_interval(paired)]
        found = [len(paired), differences.mean(), *intervals, *sign_flip(paired), chance]
        return [*found, counted, why, ", ".join(untuned)]


_ENDS = ("low", "high", "bootstrap_low", "bootstrap_high")
_EFFECT = ("pairs", "difference", *_ENDS, "p", "smallest_p", "improvement", "missing", "unpaired", "untuned")


def _baseline(differences: Mapping[str, Sequence[str]], losses: pd.Series) -> tuple[str, str]:
    """Return the fixed context to compare with and "", or "" and why there is none; `differences` by fixed context."""
    if not differences:
        return "", "no finished fixed context to compare with"
    partners = [name for name, differs in differences.items() if not differs]
    known = losses[partners].dropna()
    if len(partners) == 1:
        return partners[0], ""
    if len(known):
        return str(known.idxmin()), ""
    if partners:
        return "", f"no validation loss to choose among {', '.join(partners)}"
    nearest = min(differences, key=lambda name: len(differences[name]))
    return "", f"no fixed context with the same settings ({nearest} differs in {_named(differences[nearest])})"


def _named(keys: Sequence[str]) -> str:
    names = [name.removesuffix(TARGET) for name in keys]
    return ", ".join([*names[:_MOST_NAMED], *(["…"] if names[_MOST_NAMED:] else [])])
