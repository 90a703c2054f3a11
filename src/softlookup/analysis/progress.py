"""State which comparisons of a running sweep are decided already. No torch."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from softlookup.analysis.effects import ALPHA, primary
from softlookup.analysis.inference import holm, pairs_needed
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
    cells = rows[rows["planned"]].drop_duplicates(CELL)
    fixed = cells[cells["fixed"]]
    planned = cells[~cells["fixed"] & cells["task"].isin(fixed["task"])]
    gains = primary(rows)
    known = gains[gains["pairs"] > 0]
    if known.empty:
        return ""
    ps = [*known["p"], *[1.0] * (len(planned) - len(known))]
    certain = sum(p <= ALPHA for p in holm(ps)[: len(known)])
    needed = pairs_needed(len(ps))
    line = f"{certain} of {len(ps)} comparisons are decided"
    if certain == len(ps):
        return line
    most = int(rows[rows["planned"]].groupby(CELL)["seed"].nunique().max())
    open_ones = [
        f"{gain['variant']} on {gain['task']} has {gain['pairs']}"
        for gain, p in zip(known.to_dict("records"), holm(ps), strict=False)
        if p > ALPHA
    ]
    begun = f": {', '.join(open_ones[:3])}{', …' if open_ones[3:] else ''}" if open_ones else ""
    few = f" (planned are {most})" if most < needed else ""
    return f"{line}; the others need at least {needed} seeds{few}{begun}"
