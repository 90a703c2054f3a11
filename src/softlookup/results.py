"""Run folders to tidy tables. Reads files only: no torch, nothing written.

A **cell** is one planned run: a task, a variant and a seed. A **variant** is what differs between the cells of one
task: the choices that vary within the experiment. A cell counts in means when its run is finished and planned;
every other cell keeps its row, with the reason.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from softlookup import stored
from softlookup.errors import UserError
from softlookup.record import RunFolder
from softlookup.stored import BOUNDS, Alignment, BrokenError

CELL = ["experiment", "task", "variant"]
STARTED = ("state.json", "result.json")  # a folder with one of them is a run


def read(runs_dir: Path, experiment: str | None = None) -> pd.DataFrame:
    """One row for each cell under `runs_dir`, or of one experiment there, finished or not: planned cells, and runs that
    no plan names.

    Columns: experiment, id, task, variant, fixed, seed, status, reason, planned, counted, longest (source length of
    training), by_length and validations (lists of dicts), folder, and one column for each metric and cost, NaN where
    absent. A run with a broken file keeps its row, and the reason names the file; one whose result is broken is
    missing. Raises UserError where there is no run at all, or a plan that cannot be read.
    """
    chosen = [folder for folder in _folders(runs_dir) if experiment in (None, folder.name)]
    cells = [cell for folder in chosen for cell in _experiment(folder)]
    if not cells:
        raise UserError(f"no runs in {runs_dir}: expected folders {runs_dir}/EXPERIMENT/RUN; type: make sweep")
    metrics = sorted({name for cell in cells for name in cell["values"]})
    rows = pd.DataFrame([{k: v for k, v in cell.items() if k != "values"} for cell in cells])
    values = pd.DataFrame([cell["values"] for cell in cells], columns=metrics, dtype=float)
    return pd.concat([rows, values], axis=1)


def _folders(path: Path) -> list[Path]:
    """The folders within a folder by name; none where it cannot be looked into."""
    try:
        return sorted(inside for inside in path.iterdir() if os.path.isdir(inside))
    except OSError:
        return []


def _experiment(folder: Path) -> list[dict[str, Any]]:
    planned = _planned(folder / "plan.json")
    runs = [run for run in _folders(folder) if any(os.path.lexists(run / name) for name in STARTED)]
    names = [*(planned or {}), *(run.name for run in runs if run.name not in (planned or {}))]
    cells = [_cell(folder / name, planned) for name in names]
    choices = [cell.pop("choices") for cell in cells]
    keys = list(dict.fromkeys(key for choice in choices for key in choice))
    given = [choice for choice in choices if choice]
    varying = [k for k in keys if k != "task" and len({repr(choice.get(k)) for choice in given}) > 1]
    varying = [k for k in varying if not _implied(k, given, varying)]
    seen: dict[tuple[str, str, int], dict[str, Any]] = {}
    for cell, choice in zip(cells, choices, strict=True):
        cell["task"] = str(choice.get("task", "unknown"))
        cell["variant"] = _variant(choice, varying or ["attention"])
        cell["fixed"] = str(choice.get("attention", "")).startswith("fixed_")
        place = (cell["task"], cell["variant"], cell["seed"])
        if cell["counted"] and place in seen:  # without a plan, an older run of the same cell may lie beside it
            older = min(seen[place], cell, key=lambda c: _written(c["folder"] / "result.json"))
            older |= {"planned": False, "counted": False}
            older["reason"] = "an older run of the same task, variant and seed: not in the means"
        if cell["counted"]:
            seen[place] = cell
    return cells


def _implied(key: str, choices: Sequence[dict[str, Any]], varying: Sequence[str]) -> bool:
    """Whether a choice says nothing beside the paper that it comes from: it is the same in all runs of that paper."""
    pairs = {(repr(choice.get("paper")), repr(choice.get(key))) for choice in choices}
    return key != "paper" and "paper" in varying and len(pairs) == len({paper for paper, _ in pairs})


def _planned(path: Path) -> dict[str, dict[str, Any]] | None:
    """The planned cells by id; None where there is no plan."""
    if not os.path.lexists(path):
        return None
    try:
        return {cell["id"]: cell for cell in stored.plan(path)}
    except BrokenError as error:
        raise UserError(f"{path} cannot be read ({error}): run the sweep again to write it, or delete it") from error


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _cell(folder: Path, planned: dict[str, dict[str, Any]] | None) -> dict[str, Any]:
    status, reason, result = _ended(folder)
    in_plan = planned is None or folder.name in planned
    validations, fault = stored.validations(folder / "metrics.jsonl") if result else ([], "")
    said = ["" if in_plan else "not in the plan: not in the means", reason, fault]
    known = (planned or {}).get(folder.name) or result or _config(folder)
    values = {**result.get("metrics", {}), **result.get("cost", {})}
    return {
        "experiment": _text(folder.parent.name),
        "id": _text(folder.name),
        "choices": known.get("choices", {}),
        "seed": known.get("seed", -1),
        "status": status,
        "reason": "; ".join(filter(None, said)),
        "planned": in_plan,
        "counted": in_plan and status == "finished",
        "longest": result.get("longest") or np.nan,
        "by_length": result.get("by_length", []),
        "validations": validations,
        "folder": folder,
        "values": {name: value for name, value in values.items() if not isinstance(value, str)},
    }


def _ended(folder: Path) -> tuple[str, str, dict[str, Any]]:
    """Status, reason and result row of a run; the row is empty unless the run is finished."""
    if not os.path.isdir(folder):
        return "missing", "planned, never started", {}
    state, reason = RunFolder(folder).status()
    if state is None:
        return "missing", "state.json is absent or cannot be read", {}
    if state != "finished":
        return state, _text(reason or ""), {}
    try:
        return state, _text(reason or ""), stored.result(folder / "result.json")
    except BrokenError as error:
        return "missing", str(error), {}


def _config(folder: Path) -> dict[str, Any]:
    """What a run that did not finish, and that no plan names, was about."""
    try:
        return stored.config(folder / "config.yaml")
    except BrokenError:
        return {}


def _text(told: object) -> str:
    """Text that can be written anywhere: names of folders and reasons may hold bytes that are none."""
    return str(told).encode("utf-8", "backslashreplace").decode()


def _variant(choices: dict[str, Any], varying: Sequence[str]) -> str:
    """Choices of a group by their name, overrides (`attention.heads`, `budget`) by name and value."""
    named = {key: "." not in key and isinstance(value, str) for key, value in choices.items()}
    words = [choices[key] if named[key] else f"{key}={choices[key]}" for key in varying if key in choices]
    return " · ".join(words) or "unknown"


def by_length(rows: pd.DataFrame) -> pd.DataFrame:
    """Counted runs by source length, long: the cell, seed, longest, low, high, count, length (the
    middle of low and high), measure, value, band_low, band_high.

    The last two are the bounds that the run itself gave for the value (`bleu_low` and `bleu_high` of `bleu`), NaN where
    it gave none. A measure that is absent from a run (an alignment without weights) has no row.
    """
    found = []
    for row in rows[rows["counted"]].to_dict("records"):
        cell = [row[key] for key in (*CELL, "seed", "longest")]
        for bucket in row["by_length"]:
            place = [*cell, *(bucket[key] for key in BOUNDS), (bucket["low"] + bucket["high"]) / 2]
            bounds = {f"{name}_{end}" for name in bucket for end in ("low", "high")}
            found += [
                [*place, k, v, bucket.get(f"{k}_low"), bucket.get(f"{k}_high")]
                for k, v in bucket.items()
                if k not in BOUNDS and k not in bounds and v is not None
            ]
    columns = [*CELL, "seed", "longest", *BOUNDS, "length", "measure", "value", "band_low", "band_high"]
    return pd.DataFrame(found, columns=columns).astype({"band_low": float, "band_high": float})


def curves(rows: pd.DataFrame) -> pd.DataFrame:
    """Validation and curriculum of every counted run, long: the cell, seed, step, tokens, measure, value.

    The curriculum's length is kept where it changes, and at the end.
    """
    found = []
    for row in rows[rows["counted"]].to_dict("records"):
        cell = [row[key] for key in (*CELL, "seed")]
        found += [[*cell, *point] for point in _points(row["validations"])]
    return pd.DataFrame(found, columns=[*CELL, "seed", "step", "tokens", "measure", "value"])


def _points(records: Sequence[dict[str, Any]]) -> Iterator[tuple[Any, ...]]:
    length, last = None, None
    for logged in records:
        at = (logged["step"], logged["tokens"])
        for measure, value in logged.items():
            if measure.startswith("validation/") and value is not None:
                yield (*at, measure, value)
        limit = logged.get("curriculum/length")
        if limit is not None:
            last = (*at, "curriculum/length", limit)
            if limit != length:
                length = limit
                yield last
    if last:
        yield last


def alignments(folder: Path) -> list[Alignment]:
    """The examples kept by a run; none where it has no weights. Raises UserError for a file that cannot be read."""
    path = folder / "alignments.npz"
    if not os.path.lexists(path):
        return []
    try:
        return stored.alignments(path)
    except BrokenError as error:
        raise UserError(f"{path.parent.name}: {error}") from error
