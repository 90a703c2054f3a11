"""Write the table of searched rates, to which an experiment refers, and the picture of the search. No torch."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import yaml
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from softlookup.system import atomic_files
from softlookup.tuning.grid import FACTOR, Grid, Tried, expected_best


@dataclass(frozen=True)
class Search:
    """Describe a search: the command, the commits of its runs, the seeds, the first grid and the last."""

    command: str
    commits: Sequence[str]
    seeds: Sequence[int]
    first: Grid
    last: Grid


def write(path: Path, search: Search, tried: Sequence[Tried]) -> None:
    """Write the table to `path` (YAML), and the picture beside it (PNG)."""
    picture = _drawn(search, tried)
    path.parent.mkdir(exist_ok=True)
    atomic_files.write(path.with_suffix(".png"), picture)
    atomic_files.write(path, _text(search, tried).encode())


def _text(search: Search, tried: Sequence[Tried]) -> str:
    count = len(search.last.exponents)
    more = count - len(search.first.exponents)
    grown = f", extended by {more} since a best one was at the edge" if more else ""
    lines = [
        "# @package _global_",
        "#",
        "# Learning rates by variant, written by the search and not by hand:",
        f"#   {search.command}",
        f"# Commit {', '.join(search.commits)}; seeds {', '.join(map(str, search.seeds))}. Each variant tried {count}",
        f"# rates, {FACTOR**search.last.low:g} to {FACTOR**search.last.high:g} times that of its optimizer{grown}.",
        "# Mean validation loss (nats per token) by rate, * the lowest:",
        *(f"#   {line}" for line in _figures(search.last, tried)),
    ]
    tree: dict[str, object] = {}
    for one in tried:
        node: dict[str, object] = tree
        *above, name = one.entry.split(".")
        for part in above:
            node = node.setdefault(part, {})  # type: ignore[assignment]
        node[name] = one.rate
    return "\n".join(lines) + "\n" + yaml.safe_dump({"tuned": tree}, sort_keys=False)


def _figures(grid: Grid, tried: Sequence[Tried]) -> list[str]:
    """Return a line for each variant, and a heading of rates before each change of them."""
    width = max(len(one.entry) for one in tried)
    lines: list[str] = []
    heading = None
    for one in tried:
        rates = grid.rates(one.default)
        if rates != heading:
            lines.append(" " * width + "".join(f"{rate:>10g}" for rate in rates))
            heading = rates
        means = one.means()
        cells = ("diverged" if math.isinf(mean) else f"{mean:.4f}" for mean in means.values())
        marked = (f"{cell}{'*' if k == one.best else ' '}" for k, cell in zip(means, cells, strict=True))
        lines.append((f"{one.entry:{width}}" + "".join(f"{cell:>10}" for cell in marked)).rstrip())
    return lines


def _drawn(search: Search, tried: Sequence[Tried]) -> bytes:
    """Draw the expected lowest validation loss against the number of tries, a panel for each first part of the entries
    (a task), as PNG."""
    panels = list(dict.fromkeys(one.entry.rpartition(".")[0] for one in tried))
    names = list(dict.fromkeys(one.entry.rpartition(".")[2] for one in tried))
    with mpl.rc_context({"axes.spines.top": False, "axes.spines.right": False, "text.parse_math": False}):
        figure = Figure(figsize=(2.0 + 4.2 * len(panels), 3.6), layout="constrained")
        FigureCanvasAgg(figure)
        lines = {}
        for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            for one in (one for one in tried if one.entry.rpartition(".")[0] == panel):
                name = one.entry.rpartition(".")[2]
                expected = expected_best(list(one.means().values()))
                tries = range(1, len(expected) + 1)
                (lines[name],) = axes.plot(
                    tries, expected, "o--" if one.fixed else "o-", color=f"C{names.index(name) % 10}", markersize=4
                )
            axes.set_title(panel, loc="left", fontweight="bold")
            axes.set_xlabel(f"rates tried, at random of {len(search.last.exponents)}")
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.grid(color="#e8e8e8")
        figure.axes[0].set_ylabel("expected lowest validation loss")
        figure.legend(list(lines.values()), list(lines), loc="outside right center", frameon=False)
        drawn = io.BytesIO()
        figure.savefig(drawn, dpi=120)
    return drawn.getvalue()
