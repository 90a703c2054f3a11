"""Read the step timing of an experiment, and add it to the result rows. No torch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from softlookup.runs import validated_files
from softlookup.runs.expectations import BrokenError

# Columns of step times, by their names in timing.json.
COLUMNS = {"median": "timing/step", "q1": "timing/step_q1", "q3": "timing/step_q3"}
MEDIAN = COLUMNS["median"]
TOKEN = "timing/token"
RATIO = "timing/ratio"  # to the cheapest fixed context of the task


def add(cells: Sequence[dict[str, Any]], path: Path) -> None:
    """Add the times of the variants to the values of cells: seconds of a training step and of decoding a token, timed
    alone, and the ratio of the step to the cheapest fixed context of the task; or, as `untimed`, why there are none."""
    found: dict[str, Any] = {}
    fault = "a sweep times a step of each variant at its end, and no sweep has finished here"
    try:
        if os.path.lexists(path):
            found, fault = validated_files.timing(path), f"{path.name} has no step of it; the same sweep times it"
    except BrokenError as error:
        fault = f"{error}; the same sweep writes it anew"
    for cell in cells:
        step = found.get("steps", {}).get(cell["variant_key"])
        cell["untimed"] = "" if step else found.get("left_out", {}).get(cell["variant_key"], fault)
        cell["values"] |= {COLUMNS[name]: step[name] for name in COLUMNS} if step else {}
        token = found.get("decoding", {}).get(cell["variant_key"])
        cell["values"] |= {TOKEN: token["median"]} if token else {}
    for task in {cell["task"] for cell in cells}:
        timed = [cell for cell in cells if cell["task"] == task and cell["planned"] and MEDIAN in cell["values"]]
        cheapest = min((cell["values"][MEDIAN] for cell in timed if cell["fixed"]), default=None)
        for cell in timed if cheapest else ():
            cell["values"][RATIO] = cell["values"][MEDIAN] / cheapest
