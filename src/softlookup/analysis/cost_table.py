"""Format what each variant costs, as ratios to the cheapest fixed context. No torch."""

from __future__ import annotations

import math

import pandas as pd

from softlookup.analysis.measures import title
from softlookup.analysis.step_timing import MEDIAN, TOKEN
from softlookup.analysis.tables import EffectTable, shown

# Headings by measure. Times are of steps timed alone; those of runs that shared a machine are not compared.
COSTS = {
    MEDIAN: "step ×",
    TOKEN: "token ×",
    "cost/flops": "FLOPs ×",
    "cost/peak_bytes": "memory ×",
    "cost/state_bytes": "state ×",
    "cost/parameters": "parameters ×",
}


def cost_tables(rows: pd.DataFrame) -> list[EffectTable]:
    """Return a table for each task: a row for each variant, and in each column its cost as a ratio to the cheapest
    fixed context, or to the cheapest variant where there is no fixed one. A cost of 0 is no base of a ratio."""
    return [
        table for _, cells in rows[rows["counted"]].groupby(["experiment", "task"], sort=False) if (table := _of(cells))
    ]


def _of(cells: pd.DataFrame) -> EffectTable | None:
    present = [name for name in COSTS if name in cells and cells[name].notna().any()]
    means = cells.groupby("variant", sort=False)[present].mean()
    fixed = cells[cells["fixed"].astype(bool)]["variant"].unique()
    bases = means.loc[list(fixed)] if len(fixed) else means
    columns, notes, ratios = ["variant"], [], pd.DataFrame(index=means.index)
    for name in present:
        known = bases[name][bases[name] > 0]
        if len(known):
            ratios[name] = means[name] / known.min()
            columns.append(COSTS[name])
            notes.append(f"{title(name)} {shown(name, known.min())} ({known.idxmin()})")
    if len(columns) == 1:
        return None
    lines = [
        [str(variant), *("absent" if math.isnan(ratio) else f"{ratio:.2f}" for ratio in row)]
        for variant, *row in ratios.itertuples()
    ]
    what = "the cheapest fixed context" if len(fixed) else "the cheapest variant"
    note = f"ratios to {what}: {'; '.join(notes)}"
    task = str(cells["task"].iloc[0])
    return EffectTable(task, f"{task}: cost", columns, lines, [note])
