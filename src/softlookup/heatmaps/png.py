"""Draw attention weights as an image: target rows, source columns, gold positions outlined."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

CELL = 0.3  # inches, until a side reaches LONGEST
LONGEST = 12.0
WIDEST, HIGHEST = 20.0, 40.0  # inches of all cells of small multiples
GOLD = "#D55E00"


class Lookup(Protocol):
    """Hold what is drawn: weights (T, S), gold (T, S) booleans, S source and T target tokens."""

    @property
    def weights(self) -> np.ndarray: ...

    @property
    def gold(self) -> np.ndarray: ...

    @property
    def source(self) -> Sequence[str]: ...

    @property
    def target(self) -> Sequence[str]: ...


def small_multiples(lookups: Sequence[tuple[str, Lookup]]) -> Figure:
    """Lookups with their titles in one picture, row by row: weights from 0 (white) to 1 (dark).

    Raises ValueError when shapes and tokens disagree.
    """
    shapes = [_shape(lookup) for _, lookup in lookups]
    longest = max(max(shape) for shape in shapes)
    across = min(len(lookups), next((n for n, most in ((3, 25), (2, 45)) if longest <= most), 1))
    down = math.ceil(len(lookups) / across)
    heights = [max(rows for rows, _ in shapes[r * across : (r + 1) * across]) for r in range(down)]
    widths = [max(columns for _, columns in shapes[c::across]) for c in range(across)]
    cell = min(CELL, LONGEST / longest, WIDEST / sum(widths), HIGHEST / sum(heights))
    size = (sum(widths) * cell + 1.6 * across, sum(heights) * cell + 1.2 * down)
    with mpl.rc_context({"text.parse_math": False, "font.size": max(3.0, 28 * cell)}):
        drawn = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(drawn)
        ratios = {"width_ratios": widths, "height_ratios": heights}
        panels = drawn.subplots(down, across, squeeze=False, gridspec_kw=ratios).ravel()
        for axes, (title, lookup) in zip(panels, lookups, strict=False):
            _panel(axes, lookup, cell)
            axes.set_title(title, loc="left", fontweight="bold")
        for axes in panels[len(lookups) :]:
            axes.remove()
    return drawn


def _shape(lookup: Lookup) -> tuple[int, int]:
    shape = (len(lookup.target), len(lookup.source))
    if not lookup.weights.shape == lookup.gold.shape == shape:
        raise ValueError(
            f"got weights {lookup.weights.shape} and gold {lookup.gold.shape} for {shape[0]} target and {shape[1]} "
            "source tokens"
        )
    return max(shape[0], 1), max(shape[1], 1)


def _panel(axes: Axes, lookup: Lookup, cell: float) -> None:
    axes.imshow(lookup.weights, cmap="Blues", vmin=0, vmax=1, aspect="equal", interpolation="nearest")
    axes.set_xticks(range(len(lookup.source)), lookup.source, rotation=90)
    axes.set_yticks(range(len(lookup.target)), lookup.target)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set(xlabel="source", ylabel="target")
    axes.tick_params(length=0)
    for t, s in np.argwhere(lookup.gold).tolist():
        axes.add_patch(Rectangle((s - 0.45, t - 0.45), 0.9, 0.9, fill=False, edgecolor=GOLD, linewidth=5 * cell))


def draw(lookup: Lookup, out: Path | BinaryIO) -> None:
    """Write the picture to a file or a buffer as PNG."""
    draw_several([("", lookup)], out)


def draw_several(lookups: Sequence[tuple[str, Lookup]], out: Path | BinaryIO) -> None:
    """Write the small multiples to a file or a buffer as PNG."""
    with warnings.catch_warnings(), mpl.rc_context({"text.parse_math": False}):
        # A token in a script that the font lacks is drawn as a box; a line on the terminal would not help.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        small_multiples(lookups).savefig(out, format="png", dpi=120)
