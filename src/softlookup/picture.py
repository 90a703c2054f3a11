"""One static picture for a README: quality by source length, a panel for each task. No torch."""

from __future__ import annotations

import os
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from softlookup.errors import UserError, nearest
from softlookup.results import by_length
from softlookup.style import percent, styles, title

MARKERS = {"circle": "o", "square": "s", "diamond": "D", "triangle-up": "^"}
NOTE = {"fontsize": 8, "color": "#767676", "ha": "center", "va": "bottom"}


def readme_picture(rows: pd.DataFrame, experiment: str, path: Path, measure: str = "token_accuracy") -> Path:
    """Draw `measure` of one experiment to `path`, with the colours of the dashboard of all `rows`: means, and bands
    from the lowest to the highest seed. Raises UserError for an experiment or a measure that is not there."""
    names = sorted(rows["experiment"].unique())
    if experiment not in names:
        raise UserError(f"a picture needs experiment=NAME, given {experiment!r}; {nearest(experiment, names)}")
    buckets = by_length(rows[rows["experiment"] == experiment])
    chosen = buckets[buckets["measure"] == measure].assign(length=(buckets["low"] + buckets["high"]) / 2)
    if chosen.empty:
        raise UserError(f"no run measured {measure!r} by length; {nearest(measure, buckets['measure'].unique())}")
    looks = styles(rows)[experiment]
    tasks = sorted(chosen["task"].unique())
    with mpl.rc_context(
        {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "text.parse_math": False}
    ):
        figure = Figure(figsize=(1.5 + 4 * len(tasks), 3.6), layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplots(1, len(tasks), sharey=True, squeeze=False)[0]
        for axes, task in zip(panels, tasks, strict=True):
            mine = chosen[chosen["task"] == task]
            for name, style in looks.items():
                spread = mine[mine["variant"] == name].groupby("length")["value"].agg(["mean", "min", "max"])
                if spread.empty:
                    continue
                inside = "white" if style.fixed else style.color
                look = {
                    "color": style.color,
                    "marker": MARKERS[style.symbol],
                    "markerfacecolor": inside,
                    "markersize": 5,
                }
                axes.plot(spread.index, spread["mean"], "--" if style.fixed else "-", label=name, **look)
                axes.fill_between(spread.index, spread["min"], spread["max"], color=style.color, alpha=0.13, lw=0)
            for longest in mine["longest"].dropna().unique():
                axes.axvline(longest, color="#767676", lw=1, ls=":")
                axes.annotate("longest in training", (longest, 1.01), xycoords=("data", "axes fraction"), **NOTE)
            axes.set(xlabel="source length (tokens)", xlim=(0, None), ylim=(0, 1.02 if percent(measure) else None))
            axes.set_title(task, loc="left", fontweight="bold", pad=16)
            axes.grid(color="#e8e8e8")
            axes.set_axisbelow(True)
        if percent(measure):
            panels[0].yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        panels[0].set_ylabel(title(measure))
        lines = {line.get_label(): line for axes in panels for line in axes.get_lines() if line.get_label() in looks}
        figure.legend(list(lines.values()), list(lines), loc="outside right center", frameon=False)
        aside = path.with_name(f".{os.getpid()}.{path.name}")
        figure.savefig(aside, dpi=160)
    os.replace(aside, path)
    return path
