"""Draw heat maps of attention weights as PNG: target rows, source columns, gold positions outlined."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from softlookup.heatmaps import glyphs
from softlookup.heatmaps.heat_map import HeatMap, shape_of

CELL = 0.3  # inches; smaller where a side would exceed LONGEST
LONGEST = 12.0
WIDEST, HIGHEST = 20.0, 40.0  # inches of all cells of a figure with several heat maps
GOLD = "#D55E00"


def small_multiples(heat_maps: Sequence[tuple[str, HeatMap]]) -> Figure:
    """Draw titled heat maps in one figure, row by row: weights from 0 (white) to 1 (dark).

    Raises ValueError when shapes and tokens disagree.
    """
    shapes = [_shape(heat_map) for _, heat_map in heat_maps]
    longest = max(max(shape) for shape in shapes)
    across = min(len(heat_maps), next((n for n, most in ((3, 25), (2, 45)) if longest <= most), 1))
    down = math.ceil(len(heat_maps) / across)
    heights = [max(rows for rows, _ in shapes[r * across : (r + 1) * across]) for r in range(down)]
    widths = [max(columns for _, columns in shapes[c::across]) for c in range(across)]
    cell = min(CELL, LONGEST / longest, WIDEST / sum(widths), HIGHEST / sum(heights))
    size = (sum(widths) * cell + 1.6 * across, sum(heights) * cell + 1.2 * down)
    fonts = [*mpl.rcParams["font.family"], *_fonts(heat_maps)[0]]
    size_of_text = max(3.0, 28 * cell)
    with mpl.rc_context({"text.parse_math": False, "font.family": fonts, "font.size": size_of_text}):
        drawn = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(drawn)
        ratios = {"width_ratios": widths, "height_ratios": heights}
        panels = drawn.subplots(down, across, squeeze=False, gridspec_kw=ratios).ravel()
        for axes, (title, heat_map) in zip(panels, heat_maps, strict=False):
            _panel(axes, heat_map, cell)
            axes.set_title(title, loc="left", fontweight="bold")
        for axes in panels[len(heat_maps) :]:
            axes.remove()
    return drawn


def _shape(heat_map: HeatMap) -> tuple[int, int]:
    rows, columns = shape_of(heat_map)
    return max(rows, 1), max(columns, 1)


def _panel(axes: Axes, heat_map: HeatMap, cell: float) -> None:
    axes.imshow(heat_map.weights, cmap="Blues", vmin=0, vmax=1, aspect="equal", interpolation="nearest")
    axes.set_xticks(range(len(heat_map.source)), heat_map.source, rotation=90)
    axes.set_yticks(range(len(heat_map.target)), heat_map.target)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set(xlabel="source", ylabel="target")
    axes.tick_params(length=0)
    for t, s in np.argwhere(heat_map.gold).tolist():
        axes.add_patch(Rectangle((s - 0.45, t - 0.45), 0.9, 0.9, fill=False, edgecolor=GOLD, linewidth=5 * cell))


def _fonts(heat_maps: Sequence[tuple[str, HeatMap]]) -> tuple[list[str], str]:
    return glyphs.fallback(text for title, one in heat_maps for text in (title, *one.source, *one.target))


def draw(heat_map: HeatMap, out: Path | BinaryIO) -> str:
    """Write a heat map to a file or a buffer as PNG; return as `draw_several` does."""
    return draw_several([("", heat_map)], out)


def draw_several(heat_maps: Sequence[tuple[str, HeatMap]], out: Path | BinaryIO) -> str:
    """Write several titled heat maps to a file or a buffer as one PNG.

    Returns one line about characters that no installed font has, which are drawn as boxes; "" if there are none.
    """
    with warnings.catch_warnings(), mpl.rc_context({"text.parse_math": False}):
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # a line for each; ours is one
        small_multiples(heat_maps).savefig(out, format="png", dpi=120)
    return _fonts(heat_maps)[1]
