"""Format the finding of an experiment as Markdown: rows of the table of findings, section, sentences. No torch."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import pandas as pd

from softlookup.analysis.differences import AXIS
from softlookup.analysis.effect_table import ALIGNMENT, main_tables
from softlookup.analysis.effects import TRAINED, alternatives
from softlookup.analysis.headline import Headline, length_text
from softlookup.analysis.measures import percent, title
from softlookup.analysis.pairs import VALIDATION
from softlookup.analysis.spans import ALL, span_text, spans
from softlookup.analysis.statistics import OTHERS, counts
from softlookup.analysis.tables import EffectTable, gain_text, shown

COLUMNS = ("question", "answer", "effect [95 %]", "seeds", "p", "command", "date", "commit")
WIDTH = 120


@dataclass(frozen=True)
class Origin:
    """Hold where the runs of an experiment come from: the command that repeats them, their dates, their commits."""

    command: str
    date: str
    commit: str


def table_rows(rows: pd.DataFrame, headlines: Sequence[Headline], question: str, origin: Origin) -> str:
    """Return the rows of one experiment in the table of findings, one for each task, without the first and the last
    bar: they are put between marks. "" where no two variants can be compared."""
    answers = [
        [f"{one.task}: {_about(one.variant, one.reference, one.quality, one.where)}" + _more(one.price, one.longer),
         one.gain, one.seeds, one.p]
        for one in headlines
    ]  # fmt: skip
    answers += _against_first(rows)
    lines = [
        [question if place == 0 else "", *map(_cell, answer), f"`{_cell(origin.command)}`", origin.date, origin.commit]
        for place, answer in enumerate(answers)
    ]
    return " |\n| ".join(" | ".join(line) for line in lines)


def section(rows: pd.DataFrame, picture: str) -> str:
    """Return the section of one experiment: its picture, how many runs are missing, its tables and their notes."""
    tables = main_tables(rows)
    tasks = {table.task for table in tables}
    about = {note: {table.task for table in tables if note in table.notes} for table in tables for note in table.notes}
    notes = [note if seen == tasks else f"{', '.join(sorted(seen))}: {note}" for note, seen in about.items()]
    experiment = rows["experiment"].iloc[0]
    parts = [f"![{title('token_accuracy')} by source length, {experiment}]({picture})"]
    parts += [f"Runs {missing(rows)}."] if missing(rows) else []
    parts += [_markdown(list(alike)) for _, alike in groupby(tables, lambda table: (table.task, table.columns))]
    parts += ["\n".join(_wrapped(f"- {_cell(note)}", "  ") for note in notes)] if notes else []
    return "\n\n".join(parts) + "\n"


def sentences(headlines: Sequence[Headline], begin: str) -> str:
    """Return the sentence of each task as one paragraph."""
    found = [*map(str, headlines), "(In brackets: 95 % intervals of the differences, paired by seed"]
    return _wrapped(f"{begin} {_cell('. '.join(found))}.)") + "\n"


def missing(rows: pd.DataFrame) -> str:
    """Return how many planned runs have no result, by state; "" where all have."""
    table = counts(rows).iloc[0]
    lacking = {name: int(table[name]) for name in table.index if name not in ("planned", "finished", *OTHERS)}
    states = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in lacking.items() if count)
    return f"without a result: {states}, of {table['planned']} planned runs" if states else ""


def _about(variant: str, reference: str, quality: str, where: str) -> str:
    return f"{variant} against {reference}{', ' + quality if quality else ''} {where.removesuffix(',')}"


def _more(price: str, longer: str) -> str:
    return (f", for {price}" if price else "") + (f"; with {longer}" if longer else "")


def _against_first(rows: pd.DataFrame) -> Iterator[list[str]]:
    """Yield the cells of a task without a fixed context: of the variants after the first, that with the lowest
    validation loss against the first."""
    compared = alternatives(rows)
    compared = compared[compared["pairs"] > 0]
    values = spans(rows)
    for _, pairs in compared.groupby(TRAINED, sort=False, dropna=False):
        best = pairs.sort_values(VALIDATION, kind="stable").iloc[0]
        quality = title(best["measure"]) if percent(best["measure"]) else ""
        about = _about(best["variant"], best["reference"], quality, length_text(best))
        among = f" (lowest validation loss of {len(pairs)} alternatives)" if len(pairs) > 1 else ""
        without = f"; without {best['missing']}" if best["missing"] else ""
        yield [
            f"{best['task']}: {about}{among}{_alignments(rows, values, best)}",
            gain_text(best, best["measure"]),
            f"{best['pairs']} seed{'s' if best['pairs'] > 1 else ''} of {best['budget']:,.0f} target tokens",
            f"{best['p']:.2g}, exploratory{without}",
        ]


def _alignments(rows: pd.DataFrame, values: pd.DataFrame, place: pd.Series) -> str:
    """Return the alignment accuracy of all variants of a task that compares attentions, without and with the best
    offset, the highest with it first."""
    cells = rows[(rows["experiment"] == place["experiment"]) & (rows["task"] == place["task"]) & rows["counted"]]
    variants = cells.drop_duplicates("variant")["settings"]
    axis = {repr(sorted((k, v) for k, v in one.items() if k.startswith(AXIS))) for one in variants}
    here = values[(values["experiment"] == place["experiment"]) & (values["task"] == place["task"])]
    span = "trained" if (here["span"] == "trained").any() else ALL
    here = here[(here["span"] == span) & here["measure"].isin(ALIGNMENT)]
    if len(axis) == 1 or here.empty:
        return ""
    table = here.pivot_table(index="variant", columns="measure", values="value").reindex(columns=[*ALIGNMENT])
    table = table.sort_values([*ALIGNMENT][-1], ascending=False, kind="stable")
    listed = ", ".join(
        f"{name} {' and '.join(shown(of, mean) for of, mean in zip(ALIGNMENT, means, strict=True))}"
        for name, *means in table.itertuples()
    )
    return f"; {' and '.join(map(title, ALIGNMENT))}, {span_text(span, here)}: {listed}"


def _markdown(tables: list[EffectTable]) -> str:
    """Return the tables of a task with the same columns as one; its variants are named by what tells them apart."""
    first, lines = tables[0], [line for table in tables for line in table.lines]
    title = f"{first.task}:{first.title.rpartition(':')[2]}" if len(tables) > 1 else first.title
    drawn = [f"| {' | '.join(map(_cell, line))} |" for line in [first.columns, ["---"] * len(first.columns), *lines]]
    return f"**{_cell(title)}**\n\n" + "\n".join(drawn)


def _cell(text: str) -> str:
    """Escape text for a cell of a Markdown table: names are no markup and have no bars."""
    return " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
