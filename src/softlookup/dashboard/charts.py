"""Draw the dashboard's charts as plotly's JSON. No torch.

Traces are plain dicts instead of `go.Figure`, which validates every name and value: that takes minutes for many
variants, and the tests validate instead. The `meta` of each trace names its variant and its kind (mean, band or seed),
so that the page can hide it. All seeds of a variant are one trace with gaps, so the number of nodes in the page grows
with variants, not with runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from softlookup.analysis.measures import percent, title
from softlookup.analysis.statistics import QUALITY, front, length_axis, limits, spread
from softlookup.analysis.step_timing import MEDIAN
from softlookup.dashboard.style import Style, Styles, literal

Figure = dict[str, Any]
Trace = dict[str, Any]
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
    MEDIAN: ("time of one training step, timed alone (ms)", 1e-3),
}


def _scatter(**properties: Any) -> Trace:
    return {"type": "scatter", **properties}


def _figure(traces: Sequence[Trace], frame: go.Figure) -> Figure:
    """Combine traces with the axes, shapes and annotations of `frame`, which has no traces."""
    return {"data": list(traces), "layout": frame.layout.to_plotly_json()}


def _in_row(row: int, traces: Sequence[Trace]) -> list[Trace]:
    """Assign traces to the axes that `make_subplots` gives to a row."""
    number = "" if row == 1 else str(row)
    return [{**trace, "xaxis": f"x{number}", "yaxis": f"y{number}"} for trace in traces]


def _show(measure: str, value: str) -> str:
    return f"%{{{value}:.1%}}" if percent(measure) else f"%{{{value}:.3~g}}"


def _axis(measure: str) -> dict[str, Any]:
    return {"tickformat": ".0%", "range": [-0.02, 1.04]} if percent(measure) else {"rangemode": "tozero"}


def _lines(cells: pd.DataFrame, at: str, x: str, looks: Styles, measure: str) -> list[Trace]:
    """Draw for each variant the band (see `spread`), every seed, and the mean of `value` by `at`, at the mean `x`."""
    table = spread(cells, at).assign(x=cells.groupby(["variant", at])[x].mean())
    seeds = dict(list(cells.sort_values(["seed", at]).groupby("variant")))
    means = dict(list(table.groupby("variant")))
    drawn = [(name, style) for name, style in looks.items() if name in seeds]
    return [trace for name, style in drawn for trace in _line(means[name], seeds[name], x, name, style, measure)]


def _line(table: pd.DataFrame, seeds: pd.DataFrame, x: str, name: str, style: Style, measure: str) -> list[Trace]:
    places, low, high = (table[column].to_numpy(dtype=float) for column in ("x", "low", "high"))
    xs, ys = _with_gaps(seeds, x)
    hover = f"<b>{literal(name)}</b><br>{x} %{{x:,}}: " + _show(measure, "y") + "<br>"
    hover += "95 % of resamples" if table["resampled"].any() else "seeds"
    hover += f" {_show(measure, 'customdata[0]')} to {_show(measure, 'customdata[1]')}, n = %{{customdata[2]}}"
    return [
        _scatter(
            x=np.concatenate([places, places[::-1]]),
            y=np.concatenate([high, low[::-1]]),
            fill="toself",
            fillcolor=style.faint(0.13),
            line={"width": 0},
            mode="lines",
            hoverinfo="skip",
            meta={"variant": name, "kind": "band"},
        ),
        _scatter(
            x=xs,
            y=ys,
            mode="lines",
            line={**style.line, "width": 1, "color": style.faint(0.55)},
            hoverinfo="skip",
            meta={"variant": name, "kind": "seed"},
        ),
        _scatter(
            x=places,
            y=table["mean"].to_numpy(dtype=float),
            customdata=np.column_stack([low, high, table["n"]]),
            mode="lines+markers",
            line=style.line,
            marker={**style.marker, "size": 7},
            hovertemplate=hover + "<extra></extra>",
            meta={"variant": name, "kind": "mean"},
        ),
    ]


def _with_gaps(frame: pd.DataFrame, x: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the lines of all seeds as one, with NaN after each; as float32, since they only are drawn."""
    last = np.flatnonzero(np.diff(frame["seed"].to_numpy(), append=-1)) + 1
    xs, ys = (np.insert(frame[column].to_numpy(dtype=np.float32), last, np.nan) for column in (x, "value"))
    return xs, ys


def quality_by_length(buckets: pd.DataFrame, measure: str, looks: Styles) -> Figure:
    """Draw `measure` by source length (middle of each bucket) for one experiment and task; `buckets` from
    `by_length`."""
    figure = go.Figure(layout={"template": LOOK, "height": 460, "margin": {"t": 48}})
    chosen = buckets[buckets["measure"] == measure]
    traces = _lines(chosen, "length", "length", looks, measure)
    above = {"yref": "paper", "y": 1.0, "yanchor": "bottom", "showarrow": False, "font": {"color": GREY, "size": 12}}
    without = {*buckets["variant"].unique()} - {*chosen["variant"].unique()}
    absent = [literal(name, 24) for name in looks if name in without]
    if absent:
        words = f"absent, not 0: {', '.join(absent)}"
        figure.add_annotation(text=words, xref="paper", x=1.0, xanchor="right", yshift=18, **above)
    for longest, words in limits(buckets):
        upright = {"type": "line", "x0": longest, "x1": longest, "y0": 0, "y1": 1, "yref": "y domain"}
        figure.add_shape(**upright, line={"color": GREY, "width": 1.5, "dash": "dot"})
        figure.add_annotation(text=words, x=longest, **above)
    figure.update_xaxes(title_text=length_axis(buckets), rangemode="tozero")
    return _figure(traces, figure.update_yaxes(title_text=title(measure).replace(" (", "<br>("), **_axis(measure)))


def _points(cells: pd.DataFrame, x: str, y: str, name: str, style: Style, scale: float = 1.0) -> list[Trace]:
    """Draw every seed as a faint point and their mean as a solid one. Hover text shows both values with axis labels."""
    faint = {**style.marker, "size": 6, "opacity": 0.45, "line": {"width": 1, "color": style.color}}
    xs = cells[x].to_numpy() / scale
    show_x = "%{x:.1%}" if percent(x) else "%{x:.4~g}"
    label = (
        f"<b>{literal(name)}</b>, %{{text}}<br>{title(y)} {_show(y, 'y')}<br>{UNITS.get(x, (title(x), 1))[0]} {show_x}"
    )
    hover = {"hovertemplate": label + "<extra></extra>", "mode": "markers"}
    kinds = {kind: {"variant": name, "kind": kind} for kind in ("seed", "mean")}
    seeds = [f"seed {seed}" for seed in cells["seed"]]
    mean = {"x": [xs.mean()], "y": [cells[y].mean()], "text": [f"mean of {len(cells)}"]}
    return [
        _scatter(x=xs, y=cells[y].to_numpy(), text=seeds, marker=faint, meta=kinds["seed"], **hover),
        _scatter(**mean, marker={**style.marker, "size": 13}, meta=kinds["mean"], **hover),
    ]


def alignment_beside_quality(rows: pd.DataFrame, looks: Styles, prefix: str = "test/forced/") -> Figure:
    """Draw alignment accuracy over token accuracy, one point per run; runs without weights are on a separate strip."""
    x, y = f"{prefix}token_accuracy", f"{prefix}alignment_accuracy"
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.86, 0.14], vertical_spacing=0.03)
    figure.update_layout(template=LOOK, height=480)
    guide = {"x": [0, 1], "y": [0, 1], "mode": "lines", "line": {"color": "#cccccc", "width": 1}, "hoverinfo": "skip"}
    traces = _in_row(1, [_scatter(**guide)])
    counted = rows[rows["counted"] & rows[x].notna()]
    for name, style in looks.items():
        mine = counted[counted["variant"] == name]
        weighed, absent = mine[mine[y].notna()], mine[mine[y].isna()].assign(**{y: 0.0})
        for row, cells in ((1, weighed), (2, absent)):
            for trace in _in_row(row, _points(cells, x, y, name, style) if len(cells) else []):
                if row == 2:
                    trace["hovertemplate"] = trace["hovertemplate"].replace(_show(y, "y"), "absent")
                traces.append(trace)
    figure.update_yaxes(title_text=title(y).replace(" (", "<br>("), **_axis(y), row=1, col=1)
    figure.update_yaxes(tickvals=[0], ticktext=["absent"], range=[-1, 1], showgrid=False, row=2, col=1)
    figure.update_xaxes(**_axis(x))
    return _figure(traces, figure.update_xaxes(title_text=title(x), row=2, col=1))


def quality_by_cost(rows: pd.DataFrame, looks: Styles, cost: str, quality: str = QUALITY) -> Figure:
    """Draw `quality` over `cost` with the Pareto front of the means: the best quality at each cost."""
    name_of_cost, scale = UNITS[cost]
    figure = go.Figure(layout={"template": LOOK, "height": 400})
    counted = rows[rows["counted"] & rows[cost].notna() & rows[quality].notna()]
    means = counted.groupby("variant")[[cost, quality]].mean()
    traces = []
    best = means.iloc[front(means[cost].to_list(), means[quality].to_list())]
    if len(best):
        xs = [*best[cost] / scale, counted[cost].max() / scale]
        ys = [*best[quality], best[quality].iloc[-1]]
        step = {"color": GREY, "width": 1.5, "shape": "hv"}
        traces.append(_scatter(x=xs, y=ys, mode="lines", line=step, hoverinfo="skip", meta={"kind": "front"}))
    for name, style in looks.items():
        cells = counted[counted["variant"] == name]
        if not cells.empty:
            traces += _points(cells, cost, quality, name, style, scale)
    wide = len(counted) and counted[cost].max() > 20 * counted[cost].min() > 0
    figure.update_xaxes(title_text=name_of_cost, type="log" if wide else "linear", rangemode="tozero")
    return _figure(traces, figure.update_yaxes(title_text=title(quality), **_axis(quality)))


def learning_curves(points: pd.DataFrame, looks: Styles) -> Figure:
    """Draw validation accuracy, loss and the curriculum's length over target tokens; `points` from `curves`."""
    panels = {
        "validation/token_accuracy": "token accuracy",
        "validation/loss": "loss",
        "curriculum/length": "longest source (tokens)",
    }
    figure = make_subplots(rows=3, cols=1, shared_xaxes=True, row_heights=[0.4, 0.35, 0.25], vertical_spacing=0.05)
    figure.update_layout(template=LOOK, height=640)
    traces: list[Trace] = []
    for row, (measure, label) in enumerate(panels.items(), start=1):
        chosen = points[points["measure"] == measure]
        curriculum = measure == "curriculum/length"
        drawn = _steps(chosen, looks) if curriculum else _lines(chosen, "step", "tokens", looks, measure)
        traces += _in_row(row, drawn)
        figure.update_yaxes(title_text=label, **_axis(measure), row=row, col=1)
    return _figure(traces, figure.update_xaxes(title_text="target tokens seen", rangemode="tozero", row=3, col=1))


def _steps(points: pd.DataFrame, looks: Styles) -> list[Trace]:
    """Draw the curriculum's length of each variant, all seeds."""
    traces = []
    chosen = dict(list(points.sort_values(["seed", "step"], kind="stable").groupby("variant")))
    for name in (name for name in looks if name in chosen):
        xs, ys = _with_gaps(chosen[name], "tokens")
        line = {**looks[name].line, "width": 1.5, "shape": "hv"}
        hover = f"<b>{literal(name)}</b><br>length %{{y}} at token %{{x:,}}<extra></extra>"
        traces.append(_scatter(x=xs, y=ys, mode="lines", line=line, hovertemplate=hover, meta={"variant": name}))
    return traces
