"""Tables to plotly figures. No torch.

Each trace says in `meta` whose it is and whether it is a mean, a band or single seeds, so that the page can hide it.
Seeds of a variant are one trace with gaps: nodes in the page grow with variants, not with runs.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from softlookup.compare import QUALITY, front
from softlookup.results import Alignment
from softlookup.style import COLORS, Style, Styles, literal, percent, title

GREY = "#767676"
AXIS = {"gridcolor": "#e8e8e8", "linecolor": "#999999", "zeroline": False, "ticks": "outside", "title": {"standoff": 8}}
LOOK = go.layout.Template(
    layout={
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": "#222222"},
        "xaxis": {**AXIS, "automargin": True},
        "yaxis": {**AXIS, "automargin": True},
        "margin": {"l": 64, "r": 16, "t": 28, "b": 52},
        "plot_bgcolor": "white",
        "showlegend": False,
        "hoverlabel": {"align": "left"},
    }
)
UNITS = {
    "cost/peak_bytes": ("peak memory of one training step (MB)", 1e6),
    "cost/seconds_per_step": ("time of one training step (ms)", 1e-3),
}


def _show(measure: str, value: str) -> str:
    return f"%{{{value}:.1%}}" if percent(measure) else f"%{{{value}:.3~g}}"


def _axis(measure: str) -> dict[str, Any]:
    return {"tickformat": ".0%", "range": [-0.02, 1.04]} if percent(measure) else {"rangemode": "tozero"}


def _lines(frame: pd.DataFrame, at: str, x: str, name: str, style: Style, measure: str) -> list[go.Scatter]:
    """Band (lowest to highest seed), every seed, and mean of `value` at each `at`, drawn at the mean `x`."""
    spread = frame.groupby(at).agg(
        x=(x, "mean"), mean=("value", "mean"), low=("value", "min"), high=("value", "max"), n=("value", "size")
    )
    x_there_and_back = [*spread["x"], *spread["x"][::-1]]
    xs, ys = _with_gaps(frame.sort_values(["seed", at]), x)
    hover = f"<b>{literal(name)}</b><br>{x} %{{x:,}}: " + _show(measure, "y") + "<br>"
    hover += f"seeds {_show(measure, 'customdata[0]')} to {_show(measure, 'customdata[1]')}, n = %{{customdata[2]}}"
    return [
        go.Scatter(
            x=x_there_and_back,
            y=[*spread["high"], *spread["low"][::-1]],
            fill="toself",
            fillcolor=style.faint(0.13),
            line={"width": 0},
            mode="lines",
            hoverinfo="skip",
            meta={"variant": name, "kind": "band"},
        ),
        go.Scatter(
            x=xs,
            y=ys,
            mode="lines",
            line={**style.line, "width": 1, "color": style.faint(0.55)},
            hoverinfo="skip",
            meta={"variant": name, "kind": "seed"},
        ),
        go.Scatter(
            x=spread["x"].to_list(),
            y=spread["mean"].to_list(),
            customdata=spread[["low", "high", "n"]].to_numpy().tolist(),
            mode="lines+markers",
            line=style.line,
            marker={**style.marker, "size": 7},
            hovertemplate=hover + "<extra></extra>",
            meta={"variant": name, "kind": "mean"},
        ),
    ]


def _with_gaps(frame: pd.DataFrame, x: str) -> tuple[list[float | None], list[float | None]]:
    xs: list[float | None] = []
    ys: list[float | None] = []
    for _, seed in frame.groupby("seed"):
        xs += [*seed[x], None]
        ys += [*seed["value"], None]
    return xs, ys


def quality_by_length(buckets: pd.DataFrame, measure: str, looks: Styles) -> go.Figure:
    """`measure` by source length (middle of each bucket) of one experiment and task; `buckets` from `by_length`."""
    figure = go.Figure(layout={"template": LOOK, "height": 460, "margin": {"t": 48}})
    chosen = buckets[buckets["measure"] == measure]
    for name, style in looks.items():
        mine = chosen[chosen["variant"] == name]
        if not mine.empty:
            figure.add_traces(_lines(mine, "length", "length", name, style, measure))
    above = {"yref": "paper", "y": 1.0, "yanchor": "bottom", "showarrow": False, "font": {"color": GREY, "size": 12}}
    absent = [literal(name, 24) for name in looks if name in set(buckets["variant"]) - set(chosen["variant"])]
    if absent:
        words = f"absent, not 0: {', '.join(absent)}"
        figure.add_annotation(text=words, xref="paper", x=1.0, xanchor="right", yshift=18, **above)
    for longest in sorted(buckets["longest"].dropna().unique()):
        figure.add_vline(x=longest, line={"color": GREY, "width": 1.5, "dash": "dot"})
        figure.add_annotation(text="longest in training", x=longest, **above)
    figure.update_xaxes(title_text="source length (tokens)", rangemode="tozero")
    return figure.update_yaxes(title_text=title(measure), **_axis(measure))


def _points(cells: pd.DataFrame, x: str, y: str, name: str, style: Style, scale: float = 1.0) -> list[go.Scatter]:
    """Every seed as a faint point, their mean as a full one. Hover shows both axes as they are labelled."""
    faint = {**style.marker, "size": 6, "opacity": 0.45, "line": {"width": 1, "color": style.color}}
    xs = cells[x] / scale
    show_x = "%{x:.1%}" if percent(x) else "%{x:.4~g}"
    label = (
        f"<b>{literal(name)}</b>, %{{text}}<br>{title(y)} {_show(y, 'y')}<br>{UNITS.get(x, (title(x), 1))[0]} {show_x}"
    )
    hover = {"hovertemplate": label + "<extra></extra>", "mode": "markers"}
    kinds = {kind: {"variant": name, "kind": kind} for kind in ("seed", "mean")}
    seeds = [f"seed {seed}" for seed in cells["seed"]]
    mean = {"x": [xs.mean()], "y": [cells[y].mean()], "text": [f"mean of {len(cells)}"]}
    return [
        go.Scatter(x=xs.to_list(), y=cells[y].to_list(), text=seeds, marker=faint, meta=kinds["seed"], **hover),
        go.Scatter(**mean, marker={**style.marker, "size": 13}, meta=kinds["mean"], **hover),
    ]


def alignment_beside_quality(rows: pd.DataFrame, looks: Styles, prefix: str = "test/") -> go.Figure:
    """Alignment accuracy over token accuracy, one point a run; runs without weights stand on a strip of their own."""
    x, y = f"{prefix}token_accuracy", f"{prefix}alignment_accuracy"
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.86, 0.14], vertical_spacing=0.03)
    figure.update_layout(template=LOOK, height=480)
    guide = {"x": [0, 1], "y": [0, 1], "mode": "lines", "line": {"color": "#cccccc", "width": 1}, "hoverinfo": "skip"}
    figure.add_trace(go.Scatter(**guide), row=1, col=1)
    counted = rows[rows["counted"] & rows[x].notna()]
    for name, style in looks.items():
        mine = counted[counted["variant"] == name]
        weighed, absent = mine[mine[y].notna()], mine[mine[y].isna()].assign(**{y: 0.0})
        for row, cells in ((1, weighed), (2, absent)):
            for trace in _points(cells, x, y, name, style) if len(cells) else []:
                if row == 2:
                    trace.hovertemplate = trace.hovertemplate.replace(_show(y, "y"), "absent")
                figure.add_trace(trace, row=row, col=1)
    figure.update_yaxes(title_text=title(y), **_axis(y), row=1, col=1)
    figure.update_yaxes(tickvals=[0], ticktext=["absent"], range=[-1, 1], showgrid=False, row=2, col=1)
    figure.update_xaxes(**_axis(x))
    return figure.update_xaxes(title_text=title(x), row=2, col=1)


def quality_by_cost(rows: pd.DataFrame, looks: Styles, cost: str, quality: str = QUALITY) -> go.Figure:
    """`quality` over `cost` with the Pareto front of the means: the best quality that each cost reaches."""
    name_of_cost, scale = UNITS[cost]
    figure = go.Figure(layout={"template": LOOK, "height": 400})
    counted = rows[rows["counted"] & rows[cost].notna() & rows[quality].notna()]
    means = counted.groupby("variant")[[cost, quality]].mean()
    best = means.iloc[front(means[cost].to_list(), means[quality].to_list())]
    if len(best):
        xs = [*best[cost] / scale, counted[cost].max() / scale]
        ys = [*best[quality], best[quality].iloc[-1]]
        step = {"color": GREY, "width": 1.5, "shape": "hv"}
        figure.add_trace(go.Scatter(x=xs, y=ys, mode="lines", line=step, hoverinfo="skip", meta={"kind": "front"}))
    for name, style in looks.items():
        cells = counted[counted["variant"] == name]
        if not cells.empty:
            figure.add_traces(_points(cells, cost, quality, name, style, scale))
    wide = len(counted) and counted[cost].max() > 20 * counted[cost].min() > 0
    figure.update_xaxes(title_text=name_of_cost, type="log" if wide else "linear", rangemode="tozero")
    return figure.update_yaxes(title_text=title(quality), **_axis(quality))


def learning_curves(points: pd.DataFrame, looks: Styles) -> go.Figure:
    """Validation accuracy and loss, and the curriculum's length, over target tokens; `points` from `curves`."""
    panels = {
        "validation/token_accuracy": "token accuracy",
        "validation/loss": "loss",
        "curriculum/length": "longest source",
    }
    figure = make_subplots(rows=3, cols=1, shared_xaxes=True, row_heights=[0.4, 0.35, 0.25], vertical_spacing=0.05)
    figure.update_layout(template=LOOK, height=640)
    for row, (measure, label) in enumerate(panels.items(), start=1):
        for name, style in looks.items():
            mine = points[(points["measure"] == measure) & (points["variant"] == name)]
            if mine.empty:
                continue
            if measure == "curriculum/length":
                xs, ys = _with_gaps(mine.sort_values(["seed", "step"], kind="stable"), "tokens")
                line = {**style.line, "width": 1.5, "shape": "hv"}
                hover = f"<b>{literal(name)}</b><br>length %{{y}} at token %{{x:,}}<extra></extra>"
                steps = {"mode": "lines", "line": line, "hovertemplate": hover, "meta": {"variant": name}}
                figure.add_trace(go.Scatter(x=xs, y=ys, **steps), row=row, col=1)
            else:
                figure.add_traces(_lines(mine, "step", "tokens", name, style, measure), rows=row, cols=1)
        figure.update_yaxes(title_text=label, **_axis(measure), row=row, col=1)
    return figure.update_xaxes(title_text="target tokens seen", rangemode="tozero", row=3, col=1)


def heat_map(example: Alignment) -> dict[str, Any]:
    """Weights of one example, output words downwards and source words across, gold cells outlined.

    A plain figure, not a `go.Figure`: a page holds thousands, and whole percents (one byte each) keep it small.
    """
    weights = np.clip(np.rint(np.nan_to_num(example.weights) * 100), 0, 255).astype(np.uint8)
    rows, columns = weights.shape
    encoded = {"dtype": "u1", "bdata": base64.b64encode(weights.tobytes()).decode(), "shape": f"{rows}, {columns}"}
    gold: dict[str, list[float | None]] = {"x": [], "y": []}
    for t, s in np.argwhere(example.gold).tolist():
        gold["x"] += [s - 0.46, s + 0.46, s + 0.46, s - 0.46, s - 0.46, None]
        gold["y"] += [t - 0.46, t - 0.46, t + 0.46, t + 0.46, t - 0.46, None]
    heat = {
        "type": "heatmap",
        "z": encoded,
        "zmin": 0,
        "zmax": 100,
        "colorscale": [[0, "#ffffff"], [0.5, "#5f9fd0"], [1, "#08306b"]],
        "colorbar": {"ticksuffix": "%", "thickness": 10, "len": 120, "lenmode": "pixels", "outlinewidth": 0},
        "xgap": 1,
        "ygap": 1,
        "hovertemplate": "output %{y}, source %{x}: %{z}%<extra></extra>",
    }
    outline = {"type": "scatter", **gold, "mode": "lines", "line": {"color": COLORS[1], "width": 2}}
    return {
        "data": [heat, {**outline, "hoverinfo": "skip"}],
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
