"""One lookup as a picture: target tokens downwards, source tokens across, gold positions outlined."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

CELL = 0.3  # inches, until a side reaches LONGEST
LONGEST = 12.0
GOLD = "#D55E00"


class Lookup(Protocol):
    """What is drawn: weights (T, S), gold (T, S) booleans, S source and T target tokens."""

    @property
    def weights(self) -> np.ndarray: ...

    @property
    def gold(self) -> np.ndarray: ...

    @property
    def source(self) -> Sequence[str]: ...

    @property
    def target(self) -> Sequence[str]: ...


def figure(lookup: Lookup) -> Figure:
    """The picture of weights from 0 (white) to 1 (dark). Raises ValueError when shapes and tokens disagree."""
    weights, gold = lookup.weights, lookup.gold
    shape = (len(lookup.target), len(lookup.source))
    if not weights.shape == gold.shape == shape:
        raise ValueError(
            f"got weights {weights.shape} and gold {gold.shape} for {shape[0]} target and {shape[1]} source tokens"
        )
    rows, columns = max(shape[0], 1), max(shape[1], 1)
    cell = min(CELL, LONGEST / max(rows, columns))
    with mpl.rc_context({"text.parse_math": False, "font.size": max(3.0, 28 * cell)}):
        drawn = Figure(figsize=(columns * cell + 1.6, rows * cell + 1.2), layout="constrained")
        FigureCanvasAgg(drawn)
        axes = drawn.subplots()
        axes.imshow(weights, cmap="Blues", vmin=0, vmax=1, aspect="equal", interpolation="nearest")
        axes.set_xticks(range(shape[1]), lookup.source, rotation=90)
        axes.set_yticks(range(shape[0]), lookup.target)
        axes.xaxis.tick_top()
        axes.xaxis.set_label_position("top")
        axes.set(xlabel="source", ylabel="target")
        axes.tick_params(length=0)
        for t, s in np.argwhere(gold).tolist():
            axes.add_patch(Rectangle((s - 0.45, t - 0.45), 0.9, 0.9, fill=False, edgecolor=GOLD, linewidth=5 * cell))
    return drawn


def draw(lookup: Lookup, out: Path | BinaryIO) -> None:
    """Write the picture to a file or a buffer as PNG."""
    with warnings.catch_warnings(), mpl.rc_context({"text.parse_math": False}):
        # A token in a script that the font lacks is drawn as a box; a line on the terminal would not help.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure(lookup).savefig(out, format="png", dpi=120)
