"""Format the effects of an experiment: a table for each task, and one of all pairs. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from softlookup.analysis.effects import TRAINED, exploratory, primary
from softlookup.analysis.measures import measure, percent, title
from softlookup.analysis.spans import ALL, span_text, spans
from softlookup.analysis.step_timing import MEDIAN
from softlookup.analysis.tables import gain_text, shown

MOST_PAIRS = 12
RATIOS = {MEDIAN: "time ×", "cost/peak_bytes": "memory ×"}


@dataclass(frozen=True)
class EffectTable:
    """Hold a table as text: its title, columns, rows, and the notes that belong under it."""

    title: str
    columns: list[str]
    lines: list[list[str]]
    notes: list[str]


def effect_tables(rows: pd.DataFrame) -> list[EffectTable]:
    """Return two tables for each task, training length and budget: quality up to the training length and beyond, gain
    over the best fixed context and cost as a ratio to the cheapest one, the largest gain first; and all other pairs.
    """
    gains, pairs, values = primary(rows), exploratory(rows), spans(rows)
    found = []
    for place, mine in gains.groupby(TRAINED, sort=False, dropna=False):
        others, cells, here = (
            table[(table["experiment"] == place[0]) & (table["task"] == place[1])] for table in (pairs, rows, values)
        )
        others = others[others["variant"].isin(mine["variant"])]
        found.append(_gains(mine, cells, here, gains))
        found += [_pairs(mine, others)] if len(others) > len(mine) else []
    return found


def _heading(gain: pd.Series, gains: pd.DataFrame) -> str:
    """Return the task, with training length and budget where the experiment has several."""
    same = gains[(gains["experiment"] == gain["experiment"]) & (gains["task"] == gain["task"])]
    several = [f"{name}={gain[name]:g}" for name in ("longest", "budget") if same[name].nunique() > 1]
    return " · ".join([gain["task"], *several])


def _gains(mine: pd.DataFrame, rows: pd.DataFrame, values: pd.DataFrame, gains: pd.DataFrame) -> EffectTable:
    place = mine.iloc[0]
    where = span_text(place["span"], values) if place["span"] != ALL else "all lengths"
    ranges = [span for span in ("trained", "beyond") if (values["span"] == span).any()]
    columns = ["variant", "seeds", *(span_text(span, values) for span in ranges), f"gain at {where} [95 %]", "p (Holm)"]
    columns += [name for column, name in RATIOS.items() if column in rows and rows[column].notna().any()]
    names = [*mine["variant"], *_references(mine, rows)]
    of_variant, several = mine.set_index("variant"), mine.loc[mine["reference"] != "", "reference"].nunique() > 1
    lines = []
    for name in names:
        cells = rows[rows["planned"] & (rows["variant"] == name)]
        counted = cells[cells["counted"]]
        seeds = f"{len(counted)}" if len(counted) == len(cells) else f"{len(counted)} of {len(cells)}"
        gain = _gain(of_variant.loc[name], several) if name in of_variant.index else ["–", ""]
        quality = [_quality(values, name, place["measure"], span) for span in ranges]
        lines.append([name, seeds, *quality, *gain, *_ratios(counted, rows)])
    return EffectTable(f"{_heading(place, gains)}: {title(place['measure'])}", columns, lines, _notes(mine, gains))


def _references(mine: pd.DataFrame, rows: pd.DataFrame) -> list[str]:
    """Return the fixed contexts of a table, the one that most gains are over first."""
    place = mine.iloc[0]
    used = mine["reference"].value_counts()
    fixed = rows[rows["counted"] & rows["fixed"]].drop_duplicates("variant")
    near = [
        row["variant"]
        for row in fixed.to_dict("records")
        if row["settings"].get("budget") == place["budget"] and row["longest"] in (place["longest"], math.nan)
    ]
    return sorted(near, key=lambda name: (-used.get(name, 0), name))


def _quality(values: pd.DataFrame, name: str, measure: str, span: str) -> str:
    cells = values[(values["variant"] == name) & (values["measure"] == measure) & (values["span"] == span)]["value"]
    return shown(f"test/{measure}", cells.mean(), cells.std())


def _gain(gain: pd.Series, several: bool) -> list[str]:
    """Return gain and p, with the reference where a table has several."""
    if gain["unpaired"]:
        return [gain["unpaired"], ""]
    remarks = [
        *([gain["reference"]] if several else []),
        *(["untuned"] if gain["untuned"] else []),
        *([f"without {gain['missing']}"] if gain["missing"] else []),
    ]
    # The unit is in the note under the table.
    text = gain_text(gain, gain["measure"]).replace(" points", "").replace(f" {measure(gain['measure']).unit}", "")
    return [text + (f" ({'; '.join(remarks)})" if remarks else ""), f"{gain['p_holm']:.2g}"]


def _ratios(cells: pd.DataFrame, rows: pd.DataFrame) -> Iterator[str]:
    """Yield the costs of a variant as ratios to those of the cheapest fixed context of its task."""
    for column in RATIOS:
        if column in rows and rows[column].notna().any():
            fixed = rows[rows["counted"] & rows["fixed"]].groupby("variant")[column].mean().min()
            ratio = cells[column].mean() / fixed
            yield "absent" if math.isnan(ratio) else f"{ratio:.2f}"


def _notes(mine: pd.DataFrame, gains: pd.DataFrame) -> list[str]:
    """Return what the gains of a table are over, and how their p is corrected."""
    over = " or ".join(dict.fromkeys(mine.loc[mine["reference"] != "", "reference"]))
    family = gains[(gains["experiment"] == mine.iloc[0]["experiment"]) & gains["p"].notna()]
    if not over or family.empty:
        return []
    unit = "points" if percent(mine.iloc[0]["measure"]) else measure(mine.iloc[0]["measure"]).unit
    least = len(family) * family["smallest_p"].min()
    return [
        f"gain in {unit} over {over}, the fixed context with the lowest validation loss, paired by seed; t interval",
        f"p: exact sign-flip test, corrected by Holm for the {len(family)} primary gains of the experiment; with "
        f"{int(family['pairs'].max())} seeds it can reach {min(1.0, least):.2g}, and {family['pairs_needed'].iloc[0]} "
        "seeds can reach 0.05",
        *_deviations(mine),
    ]


def _deviations(mine: pd.DataFrame) -> list[str]:
    """Return the variation over test sentences beside that over seeds, where runs have bootstrap bounds."""
    best = mine.iloc[0]
    if math.isnan(best["sentence_deviation"]):
        return []
    return [
        f"{best['variant']} at {best['span']} {best['unit']}: standard deviation {best['seed_deviation']:.2f} over "
        f"seeds, and {best['sentence_deviation']:.2f} over resamples of the test sentences of one run"
    ]


def _pairs(mine: pd.DataFrame, others: pd.DataFrame) -> EffectTable:
    """Return the pairs that are not primary, attention against attention first."""
    known = set(zip(mine["variant"], mine["reference"], strict=True))
    rest = others[[pair not in known for pair in zip(others["variant"], others["reference"], strict=True)]]
    rest = rest.assign(fixed=~rest["reference"].isin(others["variant"]) & ~rest["reference"].isin(mine["variant"]))
    rest = rest.sort_values(["fixed", "difference"], ascending=[True, False])
    lines = [
        [
            f"{pair['variant']} − {pair['reference']}",
            gain_text(pair, pair["measure"]),
            f"{pair['p']:.2g}",
            f"{pair['improvement']:.0%}",
        ]
        for pair in rest.head(MOST_PAIRS).to_dict("records")
    ]
    more = len(rest) - MOST_PAIRS
    notes = [f"{more} more pairs: make export writes pairs.csv"] if more > 0 else []
    notes.append("P(better): the probability that a run of the first is better than a run of the second")
    place = mine.iloc[0]
    name = f"other pairs at {place['span']} {place['unit']}, exploratory: p is not corrected"
    return EffectTable(name, ["pair", "difference [95 %]", "p", "P(better)"], lines, notes)
