"""Compute gains of attention over fixed contexts, between runs that differ only in the attention. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from softlookup.analysis.inference import bootstrap_interval, holm, pairs_needed, sign_flip, t_interval
from softlookup.analysis.load import CELL
from softlookup.analysis.statistics import QUALITY
from softlookup.analysis.variant_labels import TARGET

AXIS = "attention."  # settings of the attention axis; a normalizer and a window lie below it
VALIDATION = "validation/loss"
_ABSENT = object()
_MOST_NAMED = 3


def differing(one: Mapping[Any, Any], other: Mapping[Any, Any]) -> list[str]:
    """List the settings in which two variants differ, except the attention axis and the keys tuned for either of them.

    Each variant has `settings` (dotted key to value) and `tuned` (the keys that the experiment tuned per variant).
    """
    tuned = {*one["tuned"], *other["tuned"]}
    names = sorted({*one["settings"], *other["settings"]})
    return [
        name
        for name in names
        if not name.startswith(AXIS)
        and name not in tuned
        and one["settings"].get(name, _ABSENT) != other["settings"].get(name, _ABSENT)
    ]


def against_fixed(rows: pd.DataFrame, metric: str = QUALITY) -> pd.DataFrame:
    """Compare each variant with attention to a fixed context of its task, paired by seed.

    The two are equal except for the attention axis and tuned keys (`differing`), and saw equally many target tokens:
    there is no gain where patience ended one run of a pair earlier than the other. Of several such fixed contexts the
    baseline is the one with the lowest mean validation loss, so the choice does not depend on the test set.

    Columns: experiment, task, variant, baseline, pairs, difference (mean) with its 95 % intervals low to high (t) and
    bootstrap_low to bootstrap_high (studentized), p and smallest_p of `sign_flip`, p_holm (corrected for all gains of
    the experiment, over its tasks), pairs_needed (with fewer no such p_holm can reach 0.05), unpaired, untuned (keys
    that the experiment tuned for the baseline, but not for the variant). Where there is no baseline or no pair,
    `unpaired` says why, and the difference is NaN. A task without `metric` has no rows.
    """
    found = []
    counted = rows[rows["counted"] & rows[metric].notna()] if metric in rows else rows.iloc[:0]
    for (experiment, task), cells in counted.groupby(["experiment", "task"]):
        table = cells.groupby("variant")[["fixed", "settings", "tuned"]].first()
        variants = {str(name): one for name, one in zip(table.index, table.to_dict("records"), strict=True)}
        losses = cells.reindex(columns=["variant", VALIDATION]).groupby("variant")[VALIDATION].mean()
        values = cells.pivot_table(index="seed", columns="variant", values=metric)
        fixed = [name for name, one in variants.items() if one["fixed"]]
        for name in (name for name in variants if name not in fixed):
            baseline, why = _baseline({other: differing(variants[name], variants[other]) for other in fixed}, losses)
            differences = (values[name] - values[baseline]).dropna() if baseline else pd.Series(dtype=float)
            if baseline and differences.empty:
                why = f"no seed in common with {baseline}"
            if _unequal(cells[cells["seed"].isin(differences.index)], name, baseline):
                why = f"other numbers of target tokens than {baseline}: patience ended runs early"
                baseline, differences = "", pd.Series(dtype=float)
            paired = [float(value) for value in differences]
            intervals = [*t_interval(paired), *bootstrap_interval(paired)]
            of_pairs = [len(paired), differences.mean(), *intervals, *sign_flip(paired)]
            untuned = sorted({*variants[baseline]["tuned"]} - {*variants[name]["tuned"]}) if baseline else []
            found.append([experiment, task, name, baseline, *of_pairs, why, ", ".join(untuned)])
    ends = ["low", "high", "bootstrap_low", "bootstrap_high"]
    tests = ["p", "smallest_p", "unpaired", "untuned"]
    gains = pd.DataFrame(found, columns=[*CELL, "baseline", "pairs", "difference", *ends, *tests])
    families = gains.groupby("experiment")["p"]
    gains["p_holm"] = families.transform(lambda ps: pd.Series(holm(ps.to_list()), index=ps.index))
    gains["pairs_needed"] = families.transform(lambda ps: pairs_needed(max(1, int(ps.notna().sum()))))
    return gains


def _unequal(cells: pd.DataFrame, name: str, baseline: str) -> bool:
    """Return whether paired runs ended early after different numbers of tokens."""
    both = cells[cells["variant"].isin([name, baseline])].reindex(columns=["seed", "early", "train/tokens"])
    early = both[both["seed"].isin(both.loc[both["early"], "seed"])]
    return bool(len(early)) and bool((early.groupby("seed")["train/tokens"].nunique(dropna=False) > 1).any())


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
    names = [name.removesuffix(TARGET) for name in differences[nearest]]
    names = [*names[:_MOST_NAMED], *(["…"] if names[_MOST_NAMED:] else [])]
    return "", f"no fixed context with the same settings ({nearest} differs in {', '.join(names)})"
