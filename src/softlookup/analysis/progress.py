"""State which comparisons of a running sweep are decided already. No torch."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from softlookup.analysis.effects import primary
from softlookup.analysis.load import CELL, read
from softlookup.errors import UserError


def decided(runs_dir: Path, experiment: str) -> str:
    """Return how many of the planned comparisons with a fixed context are decided, and how many seeds the others have
    and need; "" where none is planned or nothing can be read yet."""
    try:
        return verdict(read(runs_dir, experiment))
    except UserError:
        return ""


def verdict(rows: pd.DataFrame) -> str:
    """Return the line for the rows of one experiment.

    Planned comparisons without a result count in Holm's correction, as if their p were 1: what is decided now stays
    decided however the others end.
    """
    gains = primary(rows)
    known = gains[gains["pairs"] > 0]
    if known.empty:
        return ""
    family, needed = int(known["family"].iloc[0]), int(known["pairs_needed"].iloc[0])
    certain = int(known["decided"].sum())
    line = f"{certain} of {family} comparisons are decided"
    if certain == family:
        return line
    most = int(rows[rows["planned"]].groupby(CELL)["seed"].nunique().max())
    open_ones = [
        f"{gain['variant']} on {gain['task']} has {gain['pairs']}"
        for gain in known.to_dict("records")
        if not gain["decided"]
    ]
    begun = f": {', '.join(open_ones[:3])}{', …' if open_ones[3:] else ''}" if open_ones else ""
    few = f" (planned are {most})" if most < needed else ""
    return f"{line}; the others need at least {needed} seeds{few}{begun}"
