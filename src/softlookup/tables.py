"""Tables as people read them: cells of text, for the page and for the terminal. No torch."""

from __future__ import annotations

import math

import pandas as pd

from softlookup.compare import QUALITY, SUMMARY, against_fixed, summary
from softlookup.style import percent, title

COSTS = {
    "cost/peak_bytes": ("peak memory", 1e6, "MB"),
    "cost/seconds_per_step": ("step", 1e-3, "ms"),
    "cost/seconds": ("whole run", 1.0, "s"),
    "cost/parameters": ("parameters", 1e3, "k"),
}
RUN_METRICS = (*SUMMARY, "cost/seconds", "cost/parameters")


def heading(metric: str) -> str:
    """A metric's name for a column."""
    return COSTS[metric][0] if metric in COSTS else title(metric)


def shown(metric: str, value: float, spread: float = math.nan) -> str:
    """A value with its unit, and ± its spread where there is one. NaN is `absent`, never 0.

    >>> shown("test/token_accuracy", 0.9312, 0.01)
    '93.1 ± 1.0 %'
    """
    if math.isnan(value):
        return "absent"
    scale, unit = (0.01, " %") if percent(metric) else (1.0, "")
    if metric in COSTS:
        _, scale, name = COSTS[metric]
        unit = f" {name}"
    plus_minus = "" if math.isnan(spread) else f" ± {spread / scale:,.1f}"
    return f"{value / scale:,.1f}{plus_minus}{unit}"


def summary_table(rows: pd.DataFrame, metric: str = QUALITY) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of text: by task and variant n of planned, mean ± standard deviation of each metric, and the
    gain in `metric` over the best fixed context (named) with its sign-flip p and the smallest p that the design
    reaches."""
    table = summary(rows)
    gains = against_fixed(rows, metric).set_index(["experiment", "task", "variant"])
    metrics = [name for name in SUMMARY if name in table and table[name].notna().any()]
    columns = ["task", "variant", "seeds", *(heading(name) for name in metrics)]
    columns += [f"{title(metric)} gain", "p", "smallest p"] if len(gains) else []
    lines = []
    for row in table.to_dict("records"):
        seeds = f"{row['n']}" if row["n"] == row["planned"] else f"{row['n']} of {row['planned']}"
        values = [shown(name, row[name], row[f"{name}/std"]) if row["n"] else "–" for name in metrics]
        place = (row["experiment"], row["task"], row["variant"])
        gain = _gain(gains.loc[[place]].iloc[0], metric) if place in gains.index else [""] * 3
        lines.append([row["task"], row["variant"], seeds, *values, *(gain if len(gains) else [])])
    return columns, lines


def _gain(row: pd.Series, metric: str) -> list[str]:
    if not row["pairs"]:
        return [f"no seed in common with {row['baseline']}", "", ""]
    difference = f"{100 * row['difference']:+.1f} points" if percent(metric) else f"{row['difference']:+.2f}"
    return [f"{difference} ({row['baseline']})", f"{row['p']:.2g}", f"{row['smallest_p']:.2g}"]


def runs_table(rows: pd.DataFrame) -> tuple[list[str], list[list[tuple[str, object]]]]:
    """Columns and rows of (text, value to sort by): every cell with its status and reason, unfinished ones first."""
    metrics = [name for name in RUN_METRICS if name in rows and rows[name].notna().any()]
    words = ["status", *(["reason"] if rows["reason"].any() else []), "task", "variant"]
    columns = [*words, "seed", *(heading(name) for name in metrics), "run"]
    lines = []
    for row in rows.sort_values("counted", kind="stable").to_dict("records"):
        cells: list[tuple[str, object]] = [(str(row[key]), str(row[key])) for key in words]
        cells.append((str(row["seed"]), int(row["seed"])) if row["seed"] >= 0 else ("unknown", None))
        for name in metrics:
            text = shown(name, row[name]) if row["status"] == "finished" else "–"
            cells.append((text, None if math.isnan(row[name]) else row[name]))
        lines.append([*cells, (row["id"], row["id"])])
    return columns, lines
