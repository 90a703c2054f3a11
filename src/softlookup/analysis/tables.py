"""Format result tables for the dashboard and the terminal. No torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from softlookup.analysis.load import FOREIGN
from softlookup.analysis.measures import measure, percent, title
from softlookup.analysis.statistics import SUMMARY, summary
from softlookup.analysis.step_timing import COLUMNS, MEDIAN
from softlookup.errors import shell_quote

WALL = "cost/seconds_per_step"
TIMED = tuple(COLUMNS.values())
MOST_FOLDERS = 4
HUNDREDS = ("points", "BLEU", "chrF")  # units of measures from 0 to 100


@dataclass(frozen=True)
class EffectTable:
    """Hold a table as text: its task, title, columns, rows, and the notes that belong under it."""

    task: str
    title: str
    columns: list[str]
    lines: list[list[str]]
    notes: list[str]


def heading(metric: str) -> str:
    """Return the column heading of a metric."""
    return f"{title(metric)} (quartiles)" if metric == MEDIAN else title(metric)


def shown(metric: str, value: float, spread: float = math.nan) -> str:
    """Format a value with its unit, and ± its spread if there is one. NaN is `absent`, never 0.

    >>> shown("test/token_accuracy", 0.9312, 0.01)
    '93.1 ± 1.0 %'
    """
    if math.isnan(value):
        return "absent"
    known = measure(metric)
    unit = f" {known.unit}" if known.unit and known.unit not in known.title else ""
    plus_minus = "" if math.isnan(spread) else f" ± {spread / known.scale:,.1f}"
    return f"{value / known.scale:,.1f}{plus_minus}{unit}"


def summary_table(rows: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Return columns and rows of text by task and variant: seeds, mean ± standard deviation of each metric.

    Step times are of steps timed alone (median, quartiles); wall times of runs
    that may have shared a machine are shown only where no step was timed.
    """
    table = summary(rows, (*SUMMARY, *TIMED))
    metrics = [name for name in SUMMARY if name in table and table[name].notna().any()]
    if MEDIAN in metrics:
        metrics.remove(WALL)
    columns = ["task", "variant", "seeds", *(heading(name) for name in metrics)]
    lines = []
    for row in table.to_dict("records"):
        seeds = f"{row['n']}" if row["n"] == row["planned"] else f"{row['n']} of {row['planned']}"
        values = [_mean(name, row) if row["n"] else "–" for name in metrics]
        lines.append([row["task"], row["variant"], seeds, *values])
    return columns, lines


def _mean(name: str, row: dict[Any, Any]) -> str:
    if name != MEDIAN or math.isnan(row[MEDIAN]):
        return shown(name, row[name], row[f"{name}/std"])
    known = measure(MEDIAN)
    low, high = (row[COLUMNS[end]] / known.scale for end in ("q1", "q3"))
    return f"{row[MEDIAN] / known.scale:,.1f} {known.unit} ({low:,.0f}–{high:,.0f})"


def gain_parts(row: Mapping[Any, Any] | pd.Series, metric: str) -> tuple[str, str, str]:
    """Return a gain with its unit, points for shares, its 95 % t interval, and the interval of the bootstrap where the
    two differ by a tenth or more; "" for an interval that there is not.

    >>> row = {"difference": 0.52, "low": 0.481, "high": 0.558, "bootstrap_low": 0.48, "bootstrap_high": 0.559}
    >>> gain_parts(row, "test/token_accuracy")
    ('+52.0 points', '[48.1, 55.8]', '')
    """
    unit = "points" if percent(metric) else measure(metric).unit
    scale, digits = (100 if percent(metric) else 1), (1 if unit in HUNDREDS else 2)
    t, bootstrap = ([row[f"{kind}{end}"] * scale for end in ("low", "high")] for kind in ("", "bootstrap_"))
    text = f"{row['difference'] * scale:+.{digits}f} {unit}".rstrip()
    if math.isnan(t[0]):
        return text, "", ""
    first, second = _span(t, digits), "" if math.isnan(bootstrap[0]) else _span(bootstrap, digits)
    apart = max(abs(one - other) for one, other in zip(t, bootstrap, strict=True))
    return text, first, second if second != first and apart > 0.1 * (t[1] - t[0]) else ""


def gain_text(row: Mapping[Any, Any] | pd.Series, metric: str) -> str:
    """Return the parts of a gain as one text: `+1.5 BLEU [0.9, 2.1], bootstrap [0.7, 2.0]`."""
    text, interval, bootstrap = gain_parts(row, metric)
    return f"{text} {interval}".rstrip() + (f", bootstrap {bootstrap}" if bootstrap else "")


def _span(ends: Sequence[float], digits: int) -> str:
    return f"[{ends[0]:.{digits}f}, {ends[1]:.{digits}f}]"


def data_lines(rows: pd.DataFrame) -> list[str]:
    """Describe the data of each task by short digests: a line for each different data set that its planned runs
    read."""
    return [
        f"{task}: {digests} ({len(cells)} run{'s' if len(cells) > 1 else ''})"
        for (task, digests), cells in rows[rows["planned"]]
        .assign(digests=rows["data"].map(data_text))
        .groupby(["task", "digests"])
        if digests
    ]


def kept_text(kept: Mapping[str, Any]) -> str:
    """Describe which weights of a run were kept and evaluated.

    >>> kept_text({"weights": "best", "metric": "validation/loss", "value": 0.4127, "step": 12, "tokens": 3000})
    'the best weights, by validation/loss 0.4127 after 3,000 target tokens'
    >>> kept_text({"weights": "average", "of": 4, "different": 3})
    'the mean of 4 weights'
    """
    if kept.get("weights") == "best":
        return f"the best weights, by {kept['metric']} {kept['value']:.4g} after {kept['tokens']:,} target tokens"
    return f"the mean of {kept['of']} weights" if kept.get("weights") == "average" else "the last weights"


def matched_text(matched: Mapping[str, Any]) -> str:
    """Describe the widths that were solved for a run, and how far its cost is from that of the reference.

    >>> matched_text({"widths": {"decoder.width": 139}, "cost": "parameters", "to": "additive", "residual": 0.00193})
    'decoder.width=139 (parameters of additive +0.19%)'
    """
    if not matched:
        return ""
    widths = " ".join(f"{key}={width}" for key, width in matched["widths"].items())
    return f"{widths} ({matched['cost']} of {matched['to']} {matched['residual']:+.2%})"


def data_text(data: dict[str, str]) -> str:
    """Format digests of data in one line.

    >>> data_text({"train": "1f9c2a0b57de", "test": "0a1b2c3d4e5f"})
    'train 1f9c2a0b57de, test 0a1b2c3d4e5f'
    """
    return ", ".join(f"{name} {digest}" for name, digest in data.items())


def other_code(rows: pd.DataFrame) -> list[str]:
    """Report how many runs were made by another version of the code, and what to do about them."""
    lines = []
    for status in FOREIGN:
        cells = rows[rows["status"] == status]
        if len(cells):
            folders = _folders_of(cells, rows)
            what = "1 run was" if len(cells) == 1 else f"{len(cells)} runs were"
            lines.append(
                f"{what} made by {status}, whose figures are not comparable: excluded from all means and comparisons. "
                f"To replace them: run the same sweep again. To delete them: rm -r {folders}"
            )
    return lines


def _folders_of(cells: pd.DataFrame, rows: pd.DataFrame) -> str:
    """Return the folders to delete: the experiment's folder if all its runs are included, otherwise run folders."""
    found: list[str] = []
    for experiment, group in cells.groupby("experiment"):
        folders = [Path(folder) for folder in group["folder"]]
        whole = len(group) == (rows["experiment"] == experiment).sum()
        found += [shell_quote(path) for path in ([folders[0].parent] if whole else folders)]
    more = f" (and {len(found) - MOST_FOLDERS} more, with that status in the table of runs)"
    return " ".join(found[:MOST_FOLDERS]) + (more if found[MOST_FOLDERS:] else "")
