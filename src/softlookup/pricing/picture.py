"""Draw what each part costs by length, both axes logarithmic."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from softlookup.pricing.price import Priced
from softlookup.system import atomic_files

GREY = "#767676"
LIMIT = "#b00020"
COLUMNS = 3
MARKERS = "osD^vPX*<>"


def draw(found: Sequence[Priced], limit: int, folder: Path) -> list[Path]:
    """Draw peak memory, above, and seconds, below, of a pass by length, three groups to a row, into cost.png and
    cost.svg. `limit` is this machine's memory in bytes, drawn as a line."""
    groups = list(dict.fromkeys(one.group for one in found))
    with mpl.rc_context({"axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "softlookup"}):
        columns = min(len(groups), COLUMNS)
        rows = -(-len(groups) // columns)
        figure = Figure(figsize=(1.2 + 4.6 * columns, 8.4 * rows), layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplots(2 * rows, columns, squeeze=False, sharex=True, sharey="row")
        for spare in panels[-2:, len(groups) - columns * (rows - 1) :].flat:
            spare.remove()
        for place, group in enumerate(groups):
            mine = [one for one in found if one.group == group]
            above, below = panels[place // columns * 2 : place // columns * 2 + 2, place % columns]
            above.set_title(f"{group}: peak memory of a pass", loc="left", fontweight="bold", fontsize=10)
            below.set_title(f"{group}: seconds of a pass, measured", loc="left", fontweight="bold", fontsize=10)
            for number, one in enumerate(mine):
                _curves(above, below, one, number)
            above.axhline(limit, color=LIMIT, lw=1.2)
            note = f"memory of this machine: {limit / 1e9:.1f} GB"
            above.text(0.01, limit, note, transform=above.get_yaxis_transform(), va="bottom", color=LIMIT, fontsize=8)
            below.set_xlabel("source and target length")
            lines = above.get_legend_handles_labels()
            below.legend(*lines, frameon=False, fontsize=8, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.15))
        for above, below in zip(panels[::2, 0], panels[1::2, 0], strict=True):
            above.set_ylabel("bytes")
            below.set_ylabel("seconds")
        for axes in figure.axes:
            axes.set_xscale("log", base=2)
            axes.set_yscale("log")
            axes.grid(color="#e8e8e8")
            axes.set_axisbelow(True)
        words = "lines: predicted; dashed: extrapolated; marks: measured. One sentence, forward and backward."
        figure.supxlabel(words, fontsize=8, color=GREY)
        written = []
        for form in ("png", "svg"):
            drawn = io.BytesIO()
            figure.savefig(drawn, dpi=110, format=form, metadata={"Date": None} if form == "svg" else None)
            atomic_files.write(folder / f"cost.{form}", drawn.getvalue())
            written.append(folder / f"cost.{form}")
    return written


def _curves(above: Axes, below: Axes, one: Priced, place: int) -> None:
    color, marker = mpl.colormaps["tab20"](place % 20), MARKERS[place % len(MARKERS)]
    rows = [row for row in one.rows if row["peak_bytes"]]
    if rows:
        dashed = rows[0]["basis"] == "extrapolated"
        x, y = [row["length"] for row in rows], [row["peak_bytes"] for row in rows]
        above.plot(x, y, "--" if dashed else "-", color=color, lw=1.2)
    measured = [row for row in one.rows if row["seconds"] is not None]
    x = [row["length"] for row in measured]
    peaks = [row["measured_peak_bytes"] for row in measured]
    above.plot(x, peaks, marker, color=color, markersize=4, label=one.choice)
    below.plot(x, [row["seconds"] for row in measured], f"-{marker}", color=color, lw=1.2, markersize=4)
