"""List quality by span of source lengths: all, trained, beyond, and each bucket. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from softlookup.analysis.load import CELL
from softlookup.runs.validated_files import BOUNDS, RANGES

ALL = "all"
TEST = "test/"
COLUMNS = [*CELL, "seed", "longest", "unit", "measure", "span", "low", "high", "value", "band_low", "band_high"]


def spans(rows: pd.DataFrame) -> pd.DataFrame:
    """Return what counted runs measured on the test set, in long format: the cell, seed, longest, unit (of lengths),
    measure (`token_accuracy`), span, low, high, value, band_low, band_high.

    span is `all`, `trained` (source lengths up to the longest of training), `beyond`, or the bounds of a bucket, as in
    `32` or `21–30`; low and high are NaN for `all`. The bands are the bootstrap bounds in the run's result, or NaN. A
    measure that a run lacks (alignment without weights) has no row.
    """
    found = []
    for row in rows[rows["counted"]].to_dict("records"):
        cell = [row[key] for key in (*CELL, "seed", "longest", "unit")]
        names = [name for name in map(str, row) if name.startswith(TEST)]
        whole = {name.removeprefix(TEST): row[name] for name in names}
        found += [[*cell, name, ALL, math.nan, math.nan, value, None, None] for name, value in _known(whole)]
        parts = [
            *((part["range"], part) for part in row["ranges"]),
            *((label(part), part) for part in row["by_length"]),
        ]
        for span, part in parts:
            place = [span, part["low"], part["high"]]
            bounds = [(part.get(f"{name}_low"), part.get(f"{name}_high")) for name, _ in _known(part)]
            measured = zip(_known(part), bounds, strict=True)
            found += [[*cell, name, *place, value, *ends] for (name, value), ends in measured]
    table = pd.DataFrame(found, columns=COLUMNS)
    return table.astype(dict.fromkeys(("low", "high", "value", "band_low", "band_high"), float))


def label(part: Mapping[str, Any]) -> str:
    """Return the name of a bucket of source lengths.

    >>> label({"low": 21, "high": 30}), label({"low": 32, "high": 32})
    ('21–30', '32')
    """
    return f"{part['low']:g}" if part["low"] == part["high"] else f"{part['low']:g}–{part['high']:g}"


def _known(part: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield the measures of a part that were measured, without bounds of lengths and of confidence."""
    for name, value in part.items():
        ends = name.endswith(("_low", "_high")) and name.rpartition("_")[0] in part
        if name not in (*BOUNDS, "range") and not ends and value is not None and not math.isnan(value):
            yield name, value


def order(table: pd.DataFrame) -> list[str]:
    """Return the spans of a table in their order: all, trained, beyond, then the buckets by length."""
    present = table.drop_duplicates("span").sort_values(["low", "high"])["span"].tolist()
    first = [name for name in (ALL, *RANGES) if name in present]
    return first + [name for name in present if name not in first]


def span_text(span: str, table: pd.DataFrame) -> str:
    """Describe a span of one task with its unit: `≤ 16 tokens, trained`, `17–64 tokens, beyond`, `32 tokens`."""
    here = table[table["span"] == span]
    unit = here["unit"].iloc[0]
    if span == ALL:
        return f"all {unit}"
    if span == "trained":
        return f"≤ {here['high'].max():g} {unit}, trained"
    if span == "beyond":
        return f"{here['low'].min():g}–{here['high'].max():g} {unit}, beyond"
    return f"{span} {unit}"
