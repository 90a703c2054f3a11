"""Write prices as JSON and CSV, and print them as a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table

from softlookup.pricing.law import powers
from softlookup.pricing.price import Priced
from softlookup.runs.run_folder import json_of
from softlookup.system import atomic_files


def write(found: Sequence[Priced], origin: Mapping[str, Any], left_out: Mapping[str, str], folder: Path) -> list[Path]:
    """Write cost.json and cost.csv into a folder, and return their paths. What is absent is null, or an empty cell."""
    content = {**origin, "left_out": dict(left_out), "parts": [asdict(one) for one in found]}
    atomic_files.write(folder / "cost.json", json_of(content))
    buffer = io.StringIO()
    rows = [{"group": one.group, "choice": one.choice, **row} for one in found for row in one.rows]
    writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    atomic_files.write(folder / "cost.csv", buffer.getvalue().encode())
    return [folder / "cost.json", folder / "cost.csv"]


def table(found: Sequence[Priced], limit: int) -> Table:
    """Return a row for each part: exponents with 95 % intervals, the O(·) of its docstring in n, the peak at the
    longest length, and the longest length whose peak this machine's memory holds."""
    longest = found[0].rows[-1]["length"]
    columns = (
        "part",
        "choice",
        "time",
        "memory",
        "FLOPs",
        "state",
        "stated",
        f"peak at {longest:,}",
        "fits to",
        "= measured",
    )
    drawn = Table(*columns, box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for one in found:
        exponents = [str(value) if value is not None else "–" for value in one.exponents.values()]
        last = one.rows[-1]["peak_bytes"]
        fitting = [row["length"] for row in one.rows if row["peak_bytes"] is not None and row["peak_bytes"] <= limit]
        equal, measured = one.checked
        drawn.add_row(
            f"{one.group}={one.choice}",
            *exponents,
            powers(list(one.stated.values())) or "–",
            "absent" if last is None else _bytes(last) + (" *" if one.rows[-1]["basis"] == "extrapolated" else ""),
            f"{max(fitting):,}" if fitting else "–",
            f"{equal} of {measured}",
        )
    return drawn


def _bytes(size: int) -> str:
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if size >= scale:
            return f"{size / scale:,.1f} {unit}"
    return f"{size / 1e3:,.1f} kB"
