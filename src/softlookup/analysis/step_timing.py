"""Read an experiment's step timing, and add it to the result rows. No torch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from softlookup.runs import validated_files
from softlookup.runs.expectations import BrokenError

# Columns for what a step took, by the name that timing.json has for it.
COLUMNS = {"median": "timing/step", "q1": "timing/step_q1", "q3": "timing/step_q3"}
MEDIAN = COLUMNS["median"]
RATIO = "timing/ratio"  # to the cheapest fixed context of the task


def add(cells: Sequence[dict[str, Any]], path: Path) -> None:
    """Add to the values of cells what a training step of their variant takes alone, in seconds, and how many times that
    of the cheapest fixed context of its task it is; or say, under `untimed`, why it is not known."""
    found: dict[str, Any] = {}
    fault = "a sweep times a step of each variant at its end, and none has here"
    try:
        if os.path.lexists(path):
            found, fault = validated_files.timing(path), f"{path.name} has no step of it; the same sweep times it"
    except BrokenError as error:
        fault = f"{error}; the same sweep writes it anew"
    for cell in cells:
        step = found.get("steps", {}).get(cell["variant_key"])
        cell["untimed"] = "" if step else found.get("left_out", {}).get(cell["variant_key"], fault)
        cell["values"] |= {COLUMNS[name]: step[name] for name in COLUMNS} if step else {}
    for task in {cell["task"] for cell in cells}:
        own = [cell for cell in cells if cell["task"] == task and cell["planned"] and MEDIAN in cell["values"]]
        cheapest = min((cell["values"][MEDIAN] for cell in own if cell["fixed"]), default=None)
        for cell in own if cheapest else ():
            cell["values"][RATIO] = cell["values"][MEDIAN] / cheapest
