"""Draw quality by source length as a static image. No torch."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from softlookup.analysis.load import by_length
from softlookup.analysis.measures import percent, title
from softlookup.analysis.statistics import band_note, length_axis, limits, spread, summary
from softlookup.dashboard.style import Styles, styles
from softlookup.errors import UserError, nearest
from softlookup.system import atomic_files

MARKERS = {"circle": "o", "square": "s", "diamond": "D", "triangle-up": "^"}
GREY = "#767676"
NOTE: dict[str, Any] = {"fontsize": 8, "color": GREY, "ha": "center", "va": "bottom"}


def readme_picture(rows: pd.DataFrame, experiment: str, path: Path, measure: str = "token_accuracy") -> Path:
    """Draw `measure` of one experiment to `path`: means and bands, with a note of what the bands are, in the colours of
    the dashboard of all `rows`. Raises UserError for an unknown experiment or measure."""
    names = sorted(rows["experiment"].unique())
    if experiment not in names:
        raise UserError(f"a picture needs experiment=NAME, given {experiment!r}; {nearest(experiment, names)}")
    buckets = by_length(rows[rows["experiment"] == experiment])
    chosen = buckets[buckets["measure"] == measure]
    if chosen.empty:
        raise UserError(f"no run measured {measure!r} by length; {nearest(measure, buckets['measure'].unique())}")
    looks, labels = styles(rows)[experiment], _labels(rows[rows["experiment"] == experiment])
    tasks = list(chosen["task"].unique())
    with mpl.rc_context({"axes.spines.top": False, "axes.spines.right": False, "text.parse_math": False}):
        legend = 0.6 + 0.075 * max(map(len, labels.values()))  # inches
        figure = Figure(figsize=(legend + 4.2 * len(tasks), 3.6), layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplots(1, len(tasks), sharey=True, squeeze=False)[0]
        lines: dict[str, Line2D] = {}
        for axes, task in zip(panels, tasks, strict=True):
            axes.set_title(task, loc="left", fontweight="bold", pad=16)
            lines |= _panel(axes, chosen[chosen["task"] == task], looks)
            axes.set(xlabel=length_axis(chosen[chosen["task"] == task]), ylim=(0, 1.02 if percent(measure) else None))
        if percent(measure):
            panels[0].yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        panels[0].set_ylabel(title(measure))
        figure.supxlabel(band_note(chosen), fontsize=8, color=GREY)
        named = [name for name in looks if name in lines]
        handles = [lines[name] for name in named]
        figure.legend(handles, [labels[name] for name in named], loc="outside right center", frameon=False)
        drawn = io.BytesIO()
        figure.savefig(drawn, dpi=160)
    atomic_files.write(path, drawn.getvalue())
    return path


def _labels(rows: pd.DataFrame) -> dict[str, str]:
    """Return the label of each variant, with the number of runs where planned runs are missing from the mean."""
    runs = summary(rows, ()).groupby("variant")[["n", "planned"]].sum()
    return {
        str(name): str(name) if n == planned else f"{name} ({n} of {planned} runs)"
        for name, n, planned in runs.itertuples()
    }


def _panel(axes: Axes, buckets: pd.DataFrame, looks: Styles) -> dict[str, Line2D]:
    """Draw one task: means, bands and the longest training length. Returns the lines by variant."""
    lines = {}
    tables = spread(buckets, "length")
    present = tables.index.unique("variant")
    for name in (name for name in looks if name in present):
        table, style = tables.loc[name], looks[name]
        (line,) = axes.plot(table.index, table["mean"], "--" if style.fixed else "-", color=style.color)
        line.set(marker=MARKERS[style.symbol], markersize=5, markerfacecolor="white" if style.fixed else style.color)
        lines[name] = line
        axes.fill_between(table.index, table["low"], table["high"], color=style.color, alpha=0.13, lw=0)
    for longest, words in limits(buckets):
        axes.axvline(longest, color=GREY, lw=1, ls=":")
        axes.annotate(words, (longest, 1.01), xycoords=("data", "axes fraction"), **NOTE)
    axes.set_xlim(0)
    axes.grid(color="#e8e8e8")
    axes.set_axisbelow(True)
    return lines
