"""Format the effects of an experiment: a table for each task, and one of all pairs. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from softlookup.analysis.effects import TRAINED, alternatives, exploratory, primary
from softlookup.analysis.measures import measure, percent, title
from softlookup.analysis.pairs_table import pairs_table
from softlookup.analysis.spans import ALL, span_text, spans
from softlookup.analysis.step_timing import MEDIAN
from softlookup.analysis.tables import EffectTable, gain_parts, matched_text, shown

# In a recurrent encoder the state beside a token encodes it too: weights may be on gold only after a shift.
ALIGNMENT = {"forced/alignment_accuracy": "alignment", "forced/best_offset_accuracy": "shifted alignment"}
RATIOS = {MEDIAN: "time ×", "cost/peak_bytes": "memory ×"}


def effect_tables(rows: pd.DataFrame) -> list[EffectTable]:
    """Return the tables of each task, training length and budget: the main one (`main_tables`), and that of all other
    pairs where there is a fixed context."""
    return [table for tables in _tables(rows) for table in tables]


def main_tables(rows: pd.DataFrame) -> list[EffectTable]:
    """Return a table for each task, training length and budget: quality up to the training length and beyond, gain over
    the best fixed context and cost as a ratio to the cheapest one, the largest gain first. A task without a fixed
    context has a table of its variants against the one that the plan lists first.
    """
    return [table for table, *_ in _tables(rows)]


def _tables(rows: pd.DataFrame) -> Iterator[list[EffectTable]]:
    gains, pairs, values, others = primary(rows), exploratory(rows), spans(rows), alternatives(rows)
    for place, mine in gains.groupby(TRAINED, sort=False, dropna=False):
        near, cells, here, compared = (
            table[(table["experiment"] == place[0]) & (table["task"] == place[1])]
            for table in (pairs, rows, values, others)
        )
        near, compared = (table[table["variant"].isin(mine["variant"])] for table in (near, compared))
        if cells["fixed"].any():
            more = [pairs_table(mine, near)] if len(near) > len(mine) else []
            yield [_gains(mine, cells, here, gains), *more]
        else:
            yield [_alternatives(mine, cells, here, gains, compared.set_index("variant"))]


def _alternatives(
    mine: pd.DataFrame, rows: pd.DataFrame, values: pd.DataFrame, gains: pd.DataFrame, compared: pd.DataFrame
) -> EffectTable:
    """Return the variants in the order of the plan, each against the first, with the accuracy of their alignments."""
    place = mine.iloc[0]
    ranges = [span for span in ("trained", "beyond") if (values["span"] == span).any()] or [ALL]
    aligned = {name: word for name, word in ALIGNMENT.items() if (values["measure"] == name).any()}
    quality = [(place["measure"], span, _span(span, values)) for span in ranges]
    quality += [(name, ranges[0], word) for name, word in aligned.items()]
    columns = ["variant", "seeds", *(words for *_, words in quality)]
    columns += [f"difference at {_span(place['span'], values)}", "95 %", "p"] if len(compared) else []
    lines = []
    for name in [name for name in rows["variant"].unique() if name in {*mine["variant"]}]:
        cells = [_quality(values, name, measure, span) for measure, span, _ in quality]
        lines.append([name, _seeds(rows, name), *cells])
        if len(compared):
            lines[-1] += _difference(compared.loc[name]) if name in compared.index else ["–", "", ""]
    unit = "points" if percent(place["measure"]) else measure(place["measure"]).unit
    where = _span(ranges[0], values)
    about = [f"{aligned[name]}: {title(name)}, {where}" for name in aligned]
    notes = ["; ".join(["mean ± standard deviation over seeds", *about])]
    notes += [
        f"difference in {unit} to {name}, the first variant of the plan, paired by seed, t interval; exploratory: p of "
        "the sign-flip test is not corrected"
        for name in compared["reference"].unique()
        if name
    ]
    return EffectTable(place["task"], f"{_heading(place, gains)}: {title(place['measure'])}", columns, lines, notes)


def _span(span: str, values: pd.DataFrame) -> str:
    return "all lengths" if span == ALL else span_text(span, values)


def _seeds(rows: pd.DataFrame, name: str) -> str:
    """Return the number of seeds of a variant, with that of planned ones where some are missing."""
    cells = rows[rows["planned"] & (rows["variant"] == name)]
    counted = int(cells["counted"].sum())
    return f"{counted}" if counted == len(cells) else f"{counted} of {len(cells)}"


def _difference(pair: pd.Series) -> list[str]:
    if pair["unpaired"]:
        return [pair["unpaired"], "", ""]
    text, interval, _ = gain_parts(pair, pair["measure"])
    return [
        text.split()[0] + (f" (without {pair['missing']})" if pair["missing"] else ""),
        interval,
        f"{pair['p']:.2g}",
    ]


def _heading(gain: pd.Series, gains: pd.DataFrame) -> str:
    """Return the task, with training length and budget where the experiment has several."""
    same = gains[(gains["experiment"] == gain["experiment"]) & (gains["task"] == gain["task"])]
    several = [f"{name}={gain[name]:,.0f}" for name in ("longest", "budget") if same[name].nunique() > 1]
    return " · ".join([gain["task"], *several])


def _gains(mine: pd.DataFrame, rows: pd.DataFrame, values: pd.DataFrame, gains: pd.DataFrame) -> EffectTable:
    place = mine.iloc[0]
    where = _span(place["span"], values)
    ranges = [span for span in ("trained", "beyond") if (values["span"] == span).any()]
    columns = ["variant", "seeds", *(span_text(span, values) for span in ranges), f"gain at {where}", "95 %", "Holm p"]
    columns += [name for column, name in RATIOS.items() if column in rows and rows[column].notna().any()]
    names = [*mine["variant"], *_references(mine, rows)]
    of_variant, several = mine.set_index("variant"), mine.loc[mine["reference"] != "", "reference"].nunique() > 1
    lines = []
    for name in names:
        counted = rows[rows["counted"] & (rows["variant"] == name)]
        gain = _gain(of_variant.loc[name], several) if name in of_variant.index else ["–", "", ""]
        quality = [_quality(values, name, place["measure"], span) for span in ranges]
        lines.append([name, _seeds(rows, name), *quality, *gain, *_ratios(counted, rows)])
    return EffectTable(
        place["task"],
        f"{_heading(place, gains)}: {title(place['measure'])}",
        columns,
        lines,
        [*_notes(mine, gains), *_of_rows(rows)],
    )


def _references(mine: pd.DataFrame, rows: pd.DataFrame) -> list[str]:
    """Return the fixed contexts of a table, the one that most gains are over first."""
    place = mine.iloc[0]
    used = mine["reference"].value_counts()
    fixed = rows[rows["counted"] & rows["fixed"]].drop_duplicates("variant")
    near = [
        row["variant"]
        for row in fixed.to_dict("records")
        if row["settings"].get("budget") == place["budget"]
        and (row["longest"] == place["longest"] or (math.isnan(row["longest"]) and math.isnan(place["longest"])))
    ]
    return sorted(near, key=lambda name: (-used.get(name, 0), name))


def _quality(values: pd.DataFrame, name: str, measure: str, span: str) -> str:
    cells = values[(values["variant"] == name) & (values["measure"] == measure) & (values["span"] == span)]["value"]
    return shown(f"test/{measure}", cells.mean(), cells.std())


def _gain(gain: pd.Series, several: bool) -> list[str]:
    """Return gain, intervals and p, with the reference where a table has several."""
    if gain["unpaired"]:
        return [gain["unpaired"], "", ""]
    text, interval, _ = gain_parts(gain, gain["measure"])
    amount = text.split()[0]  # the unit is in the note under the table
    return [f"{amount} ({gain['reference']})" if several else amount, interval, f"{gain['p_holm']:.2g}"]


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
    size = int(family["family"].iloc[0])
    least = size * family["smallest_p"].min()
    return [
        f"gain in {unit} over {over}, the fixed context with the lowest validation loss, paired by seed; t intervals",
        f"p: exact sign-flip test, corrected by Holm for the {size} planned primary "
        f"gain{'' if size == 1 else 's'} of the experiment; with "
        f"{int(family['pairs'].max())} seeds it can reach {min(1.0, least):.2g}, and {family['pairs_needed'].iloc[0]} "
        "seeds can reach 0.05",
        *_bootstraps(mine),
        *_deviations(mine),
        *(f"{gain['variant']}: {remark}" for gain in mine.to_dict("records") for remark in _remarks(gain)),
    ]


def _of_rows(rows: pd.DataFrame) -> Iterator[str]:
    """Yield what the cost ratios are to, and which planned variants of a task have no result at all."""
    if any(column in rows and rows[column].notna().any() for column in RATIOS):
        yield "time and memory of a training step: ratios to the cheapest fixed context"
    cells = rows[rows["planned"]].drop_duplicates("variant").sort_values("variant")
    pairs = zip(cells["variant"], map(matched_text, cells["matched"]), strict=True)
    solved = [f"{name} {text}" for name, text in pairs if text]
    if solved:
        yield f"widths that were solved for equal cost: {'; '.join(solved)}"
    for name, cells in rows[rows["planned"]].groupby("variant"):
        if not cells["counted"].any():
            states = ", ".join(
                f"{n} {str(state).replace('_', ' ')}" for state, n in cells["status"].value_counts().items()
            )
            yield f"{name} has no result: {states}"


def _bootstraps(mine: pd.DataFrame) -> list[str]:
    """Return the bootstrap intervals that differ from the t intervals."""
    found = [
        f"{gain['variant']} {gain_parts(gain, gain['measure'])[2]}"
        for gain in mine.to_dict("records")
        if gain_parts(gain, gain["measure"])[2]
    ]
    return [f"intervals of the studentized bootstrap, where they differ: {', '.join(found)}"] if found else []


def _remarks(gain: Mapping[Any, Any]) -> Iterator[str]:
    if gain["untuned"]:
        yield f"untuned ({gain['untuned']} was searched for {gain['reference']} only)"
    if gain["missing"]:
        yield f"its runs and those of {gain['reference']} lack {gain['missing']}"


def _deviations(mine: pd.DataFrame) -> list[str]:
    """Return the variation over test sentences beside that over seeds, where runs have bootstrap bounds."""
    best = mine.iloc[0]
    if math.isnan(best["sentence_deviation"]) or math.isnan(best["seed_deviation"]):
        return []
    return [
        f"{best['variant']} at {best['span']} {best['unit']}: standard deviation {best['seed_deviation']:.2f} over "
        f"seeds, and {best['sentence_deviation']:.2f} over resamples of the test sentences of one run"
    ]
