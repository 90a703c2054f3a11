"""Draw a heat map for the dashboard, as plotly's JSON. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from softlookup.analysis.load import Alignment
from softlookup.dashboard.style import COLORS, literal


def heat_map(example: Alignment) -> dict[str, Any]:
    """Draw the weights of one example in whole percents (a byte each): a row per output token, a column per source
    token, gold cells outlined."""
    weights = np.rint(100 * np.clip(np.nan_to_num(example.weights), 0, 2.55)).astype(np.uint8)
    rows, columns = weights.shape
    gold = np.argwhere(example.gold).astype(np.float32)
    around = 0.46 * np.array([[-1, -1, 1, 1, -1, np.nan], [-1, 1, 1, -1, -1, np.nan]], dtype=np.float32)
    ys, xs = (np.add.outer(gold[:, axis], around[axis]).ravel() for axis in (0, 1))
    heat = {
        "type": "heatmap",
        "z": weights,
        "zmin": 0,
        "zmax": 100,
        "colorscale": [[0, "#ffffff"], [0.5, "#5f9fd0"], [1, "#08306b"]],
        "colorbar": {"ticksuffix": "%", "thickness": 10, "len": 120, "lenmode": "pixels", "outlinewidth": 0},
        "xgap": 1,
        "ygap": 1,
        "hovertemplate": "output %{y}, source %{x}: %{z}%<extra></extra>",
    }
    line = {"color": COLORS[1], "width": 2}
    outline = {"type": "scatter", "x": xs, "y": ys, "mode": "lines", "line": line, "hoverinfo": "skip"}
    return {
        "data": [heat, outline],
        "layout": {
            "height": 130 + max(180, 22 * rows),
            "xaxis": {**_words(example.source, columns), "side": "top", "tickangle": -60 if columns < 25 else -90},
            "yaxis": {**_words(example.target, rows), "autorange": "reversed"},
            "margin": {"l": 40, "r": 10, "t": 60, "b": 16},
        },
    }


def _words(words: Sequence[str], size: int) -> dict[str, Any]:
    labels = [literal(word, 18) for word in words[:size]]
    font = {"size": 12 if size < 25 else 10}
    ticks = {"tickvals": list(range(len(labels))), "ticktext": labels, "ticks": "", "tickfont": font}
    return {**ticks, "showgrid": False, "automargin": True}
