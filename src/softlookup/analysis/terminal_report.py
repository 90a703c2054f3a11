"""Print the result of a run, and the comparison of a sweep, to the terminal."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Column, Table
from rich.text import Text

from softlookup.analysis.cost_table import cost_tables
from softlookup.analysis.effect_table import effect_tables
from softlookup.analysis.headline import findings
from softlookup.analysis.measures import SHARED, UP_TO
from softlookup.analysis.tables import EffectTable, data_lines, data_text, kept_text, other_code, summary_table
from softlookup.analysis.tables import shown as with_unit
from softlookup.errors import shell_quote

WIDTH = 100  # columns of the comparison of a sweep
_SHADES = " ░▒▓█"


def _figure(value: float | None, form: str) -> str:
    return "absent" if value is None else format(value, form)


def _by_length(rows: list[dict[str, Any]], unit: str, longest: float | None) -> Table:
    """Return quality by source length, with a line where the lengths of training end."""
    names = ("token_accuracy", "exact_match", "forced/alignment_accuracy")
    columns = (f"source length ({unit})", "token accuracy", "exact match", "alignment, forced", "BLEU lowercased")
    table = Table(*columns, box=None, pad_edge=False)
    rows = sorted(rows, key=lambda row: (row["low"], row["high"]))
    for place, row in enumerate(rows):
        if longest is not None and row["low"] > longest and (place == 0 or rows[place - 1]["low"] <= longest):
            table.add_row(f"[dim]─ trained to {longest:g} ─")
        span = str(row["low"]) if row["low"] == row["high"] else f"{row['low']}–{row['high']}"
        cells = [_figure(row[name], ".1%") for name in names]
        table.add_row(span, *cells, _figure(row["bleu_lowercased"], ".1f"))
    return table


def _summary(row: dict[str, Any]) -> Table:
    metrics, cost = row["metrics"], row["cost"]
    table = Table(box=None, show_header=False, pad_edge=False)
    quality = [
        ("token accuracy", _figure(metrics["test/token_accuracy"], ".1%")),
        ("… forced", _figure(metrics["test/forced/token_accuracy"], ".1%")),
        ("exact match", _figure(metrics["test/exact_match"], ".1%")),
        ("BLEU lowercased", _figure(metrics["test/bleu_lowercased"], ".1f")),
    ]
    alignment = [
        ("accuracy, forced", _figure(metrics["test/forced/alignment_accuracy"], ".1%")),
        (f"… free, {UP_TO}", _figure(metrics["test/alignment_accuracy"], ".1%")),
        ("gold mass, forced", _figure(metrics["test/forced/gold_mass"], ".1%")),
        ("AER, forced", _figure(metrics["test/forced/aer"], ".2f")),
    ]
    price = [
        ("parameters", f"{cost['cost/parameters']:,}"),
        ("peak of a step", with_unit("cost/peak_bytes", cost["cost/peak_bytes"])),
        ("tokens/s *", f"{cost['cost/tokens_per_second']:,.0f}"),
        ("seconds *", f"{cost['cost/seconds']:.0f}"),
    ]
    table.add_row("[bold]quality", "", "[bold]alignment", "", "[bold]cost", "")
    for one, two, three in zip(quality, alignment, price, strict=True):
        table.add_row(*one, *two, *three)
    return table


def _by_head(heads: list[dict[str, Any]], mean: float | None) -> Table:
    """Return the forced alignment accuracy of every head, a row for each layer; `mean` is that of the last layer's
    mean over heads."""
    layers = sorted({head["layer"] for head in heads})
    count = max(head["head"] for head in heads)
    columns = ("alignment, forced", *(f"head {h}" for h in range(1, count + 1)), "mean of heads")
    table = Table(*columns, box=None, pad_edge=False)
    for layer in layers:
        cells = [_figure(head["alignment_accuracy"], ".1%") for head in heads if head["layer"] == layer]
        table.add_row(f"layer {layer}", *cells, _figure(mean, ".1%") if layer == layers[-1] else "")
    return table


def text_heat_map(weights: np.ndarray, source: list[str], target: list[str]) -> Text:
    """Draw weights (T, S) as shaded cells: a row per target token, the source along the top, darker is heavier.

    At most 2·S rows are drawn: a target that never ended would fill the terminal.
    """
    target = target[: 2 * len(source)]
    width = max(map(len, target))
    wide = max(1, min(6, 100 // max(1, len(source)) - 1))
    lines = [" " * (width + 1) + " ".join(token[:wide].center(wide) for token in source)]
    for token, row in zip(target, weights, strict=False):
        shades = (_SHADES[min(len(_SHADES) - 1, int(weight * len(_SHADES)))] for weight in row)
        lines.append(token.rjust(width) + " " + " ".join(shade * wide for shade in shades))
    return Text("\n".join(lines), no_wrap=True)


def compare(rows: pd.DataFrame, experiment: str) -> None:
    """Print the sentence of each task of an experiment, its effects (the largest gain first) and all other pairs; every
    variant's mean ± standard deviation over seeds; then the data, and the number of runs of other code.

    At most 100 columns. `rows` may hold other experiments, whose larger budgets the sentences then mention.
    """
    console = Console(width=WIDTH, highlight=False)
    for sentence in [str(one) for one in findings(rows) if one.experiment == experiment]:
        console.print(Text(sentence), soft_wrap=False)
    rows = rows[rows["experiment"] == experiment]
    columns, lines = summary_table(rows)
    # A task has its own table of means, since a table of all would be too wide.
    means = {line[0]: [other[1:] for other in lines if other[0] == line[0]] for line in lines}
    tables = effect_tables(rows) + cost_tables(rows)
    tables += [EffectTable(task, f"{task}: means over seeds", columns[1:], cells, []) for task, cells in means.items()]
    for table in tables:
        console.print(Text(f"\n{table.title}", style="bold"))
        console.print(_fitted(table))
        for note in table.notes:
            console.print(Text(note, style="dim"))
    for note in [*(f"data  {line}" for line in data_lines(rows)), *other_code(rows)]:
        Console(highlight=False, soft_wrap=True).print(Text(note))  # never wrapped: it holds commands to copy


def _fitted(table: EffectTable) -> Table:
    lines = [[cell.replace(" ± ", "±") for cell in line] for line in table.lines]
    widths = [
        max(*(len(word) for word in name.split()), *(len(line[place]) for line in lines))
        for place, name in enumerate(table.columns)
    ]
    # Headings are folded to the width of the figures below them. Figures that do not fit are folded too, since cut
    # names of different variants could be equal.
    fits = sum(widths) + len(widths) <= WIDTH
    columns = (
        Column(name, overflow="fold", width=width if fits else None)
        for name, width in zip(table.columns, widths, strict=True)
    )
    drawn = Table(*columns, box=None, padding=(0, 1, 0, 0))
    for line in lines:
        drawn.add_row(*map(Text, line))
    return drawn


def show(row: dict[str, Any], folder: Path, shown: Path) -> None:
    """Print the result row of one run; `shown` is its folder as typed on the command line."""
    console = Console()
    parts: list[Any] = [_summary(row), Text(f"* {SHARED}: not comparable", style="dim"), Text()]
    parts.append(_by_length(row["by_length"], row.get("length_unit", "tokens"), row.get("longest")))
    if row.get("heads"):
        parts += [Text(), _by_head(row["heads"], row["metrics"]["test/forced/alignment_accuracy"])]
    if row.get("kept", {}).get("weights", "last") != "last":
        parts += [Text(), Text(f"kept  {kept_text(row['kept'])}")]
    if row.get("data"):
        parts += [Text(), Text(f"data  {data_text(row['data'])}")]
    arrays = folder / "alignments.npz"
    choices = row["choices"]
    if arrays.exists():
        with np.load(arrays, allow_pickle=False) as stored:
            drawn = text_heat_map(stored["weights_0"], list(stored["source_0"]), list(stored["target_0"]))
        parts += [Text(), drawn]
    else:
        read = "reads one fixed context" if row["kind"] == "fixed" else "reads without weights"
        parts += [Text(), Text(f"{choices['attention']} {read}: there is no alignment to draw")]
    console.print(Panel(Group(*parts), title=row["id"], expand=False))
    other = "fixed_final" if row["kind"] != "fixed" else "general"
    console.print(f"run      {shell_quote(shown)}", soft_wrap=True, highlight=False)
    if (folder / "alignment.png").exists():
        console.print(f"heat map {shell_quote(shown / 'alignment.png')}", soft_wrap=True, highlight=False)
    if "continued" not in row:  # a continued run takes its settings from the run that it continues
        console.print(f"next     the same command with attention={other}", soft_wrap=True, highlight=False)
    console.print("         make dashboard (all runs side by side), make sweep (the main comparison)", soft_wrap=True)
