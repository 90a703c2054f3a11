"""Load run folders into tidy tables. Only reads files; no torch.

A **cell** is one planned run: a task, a variant and a seed. A **variant** is the whole config of a run except the seed:
runs that differ in any other setting are different variants, named by the settings that distinguish them. A cell counts
in means if its run is finished and planned; every other cell keeps its row, with the reason: so do runs of other code.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from softlookup.analysis import step_timing
from softlookup.analysis.differences import AXIS
from softlookup.analysis.variant_labels import DATA, Variant, labels
from softlookup.errors import UserError
from softlookup.runs import validated_files
from softlookup.runs.expectations import BrokenError
from softlookup.runs.run_folder import RunFolder
from softlookup.runs.run_id import DIGITS, VERSION
from softlookup.runs.validated_files import BOUNDS, Alignment

CELL = ["experiment", "task", "variant"]
FOREIGN = ("older code", "newer code")
STARTED = ("state.json", "result.json")  # a folder with one of these files is a run


def read(runs_dir: Path, experiment: str | None = None) -> pd.DataFrame:
    """Return one row for each cell under `runs_dir`, or of one experiment, finished or not: planned cells, and runs
    that are not in a plan.

    Columns: experiment, id, task, variant, variant_key, settings (dotted key to value), tuned (keys of settings),
    matched (solved widths), data (digests by name), fixed, seed, status, reason, planned, counted, early (ended by
    patience), kept (which weights), init_from and continue_from (ids of runs), longest (source length of training),
    unit (of lengths), by_length, ranges and validations (lists of dicts), untimed (why its step was not timed), folder,
    and one column for each metric, cost and timing, NaN where absent. A run with an invalid file keeps its row, and the
    reason names the file; a run with an invalid result has status missing. Raises UserError where there is no run at
    all, or a plan that cannot be read.
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
    """Return the subfolders of a folder, sorted by name; none if it cannot be read."""
    try:
        return sorted(inside for inside in path.iterdir() if os.path.isdir(inside))
    except OSError:
        return []


def _experiment(folder: Path) -> list[dict[str, Any]]:
    planned = _planned(folder / "plan.json")
    runs = [run for run in _folders(folder) if any(os.path.lexists(run / name) for name in STARTED)]
    names = dict.fromkeys([*(planned or {}), *(run.name for run in runs)])
    cells = [_cell(folder / name, planned) for name in names]
    tasks: dict[tuple[str, str], dict[str, Variant]] = {}
    for cell in cells:
        new = Variant(cell["choices"], cell["settings"])
        cell["task"] = str(new.choices.get("task", "unknown"))
        place, key = _place(cell)
        known = tasks.setdefault(place, {})
        # The same variant may be given by several command lines, with defaults written out or not: take the shortest.
        known[key] = min(known.get(key, new), new, key=lambda variant: (len(variant.choices), repr(variant.choices)))
    named = {place: labels(known) for place, known in tasks.items()}
    kinds = {_attention(cell): cell["kind"] for cell in cells if cell["kind"]}
    for cell in cells:
        place, key = _place(cell)
        cell["variant"] = named[place][key]
        cell["kind"] = kinds.get(_attention(cell), "")  # unknown for an attention without a finished run
        cell["fixed"] = cell["kind"] == "fixed"
        del cell["choices"]
    step_timing.add(cells, folder / "timing.json")
    return cells


def _attention(cell: dict[str, Any]) -> str:
    """Return what identifies the attention of a cell: its settings, or the choice of a run of other code."""
    own = {name: value for name, value in cell["settings"].items() if name.startswith(AXIS)}
    return repr(sorted(own.items()) or cell["choices"].get("attention"))


def _place(cell: dict[str, Any]) -> tuple[tuple[str, str], str]:
    """Return the group of variants among which a cell's variant is named (task, other version of the code), and its key
    in the group: its variant_key, or its choices for runs of other code."""
    foreign = cell["status"] if cell["status"] in FOREIGN else ""
    return (cell["task"], foreign), cell["variant_key"] or repr(sorted(cell["choices"].items(), key=repr))


def _planned(path: Path) -> dict[str, dict[str, Any]] | None:
    """Return the planned cells by id; None where there is no plan, or only one of another version of the code."""
    if not os.path.lexists(path):
        return None
    try:
        cells = validated_files.plan(path)
    except BrokenError as error:
        raise UserError(f"{path} cannot be read ({error}): run the sweep again to write it, or delete it") from error
    return None if cells is None else {cell["id"]: {**cell, "version": VERSION} for cell in cells}


def _cell(folder: Path, planned: dict[str, dict[str, Any]] | None) -> dict[str, Any]:
    status, reason, result = _ended(folder)
    in_plan = planned is None or folder.name in planned
    known = (planned or {}).get(folder.name) or result or _config(folder)
    foreign = _other_code((result or known).get("version", 0)) if known else ""
    if foreign:
        status, reason, result, in_plan = foreign, f"made by {foreign}: counts in no mean", {}, False
        known = {"choices": known["choices"], "seed": known["seed"]}
    validations, fault = validated_files.validations(folder / "metrics.jsonl") if result else ([], "")
    early = result.get("ended") == "patience"
    tokens = result.get("metrics", {}).get("train/tokens")
    ended = f"ended by patience after {tokens:,} target tokens" if early and isinstance(tokens, int) else ""
    reasons = ["" if in_plan or foreign else "not in the plan: not in the means", reason, ended, fault]
    values = {**result.get("metrics", {}), **result.get("cost", {})}
    settings = known.get("settings", {})
    return {
        "experiment": _text(folder.parent.name),
        "id": _text(folder.name),
        "choices": known.get("choices", {}),
        "seed": known.get("seed", -1),
        "variant_key": known.get("variant_key", ""),
        "settings": settings,
        "tuned": known.get("tuned", []),
        "matched": known.get("matched") or {},
        "kind": result.get("kind", ""),
        "data": {name.removeprefix(DATA): str(settings[name])[:DIGITS] for name in settings if name.startswith(DATA)},
        "status": status,
        "reason": "; ".join(filter(None, reasons)),
        "planned": in_plan,
        "counted": in_plan and status == "finished",
        "early": early,
        "kept": result.get("kept") or {},
        "init_from": _text((result.get("init_from") or {}).get("run", "")),
        "continue_from": _text((result.get("continued") or {}).get("run", "")),
        "longest": result.get("longest") or np.nan,
        "unit": result.get("length_unit", "tokens"),
        "by_length": result.get("by_length", []),
        "ranges": result.get("ranges", []),
        "validations": validations,
        "folder": folder,
        "values": {name: value for name, value in values.items() if not isinstance(value, str)},
    }


def _other_code(version: object) -> str:
    """Return the status for runs of another version of the code; "" for the current version."""
    if version == VERSION:
        return ""
    newer = isinstance(version, int) and version > VERSION
    return FOREIGN[newer]


def _ended(folder: Path) -> tuple[str, str, dict[str, Any]]:
    """Return status, reason and result row of a run; the row is empty unless the run is finished."""
    if not os.path.isdir(folder):
        return "missing", "planned, never started", {}
    state, reason = RunFolder(folder).status()
    if state is None:
        return "missing", "state.json is absent or cannot be read", {}
    if state != "finished":
        return state, _text(reason or ""), {}
    try:
        return state, _text(reason or ""), validated_files.result(folder / "result.json")
    except BrokenError as error:
        return "missing", str(error), {}


def _config(folder: Path) -> dict[str, Any]:
    """Return the config of an unfinished run that is not in a plan; empty if it cannot be read."""
    try:
        return validated_files.config(folder / "config.yaml")
    except BrokenError:
        return {}


def _text(value: object) -> str:
    """Escape characters that cannot be encoded: names of folders and reasons may contain invalid bytes."""
    return str(value).encode("utf-8", "backslashreplace").decode()


def by_length(rows: pd.DataFrame) -> pd.DataFrame:
    """Return counted runs by source length in long format: the cell, seed, longest, low, high, count, length (the
    middle of low and high), unit (of lengths), measure, value, band_low, band_high.

    The last two are the confidence bounds in the run's result (`bleu_low` and `bleu_high` for `bleu`), NaN where there
    are none. A measure that is absent from a run (alignment without weights) has no row.
    """
    found = []
    for row in rows[rows["counted"]].to_dict("records"):
        cell = [row[key] for key in (*CELL, "seed", "longest")]
        for bucket in row["by_length"]:
            place = [*cell, *(bucket[key] for key in BOUNDS), (bucket["low"] + bucket["high"]) / 2, row["unit"]]
            bounds = {f"{name}_{end}" for name in bucket for end in ("low", "high")}
            found += [
                [*place, k, v, bucket.get(f"{k}_low"), bucket.get(f"{k}_high")]
                for k, v in bucket.items()
                if k not in BOUNDS and k not in bounds and v is not None
            ]
    columns = [*CELL, "seed", "longest", *BOUNDS, "length", "unit", "measure", "value", "band_low", "band_high"]
    return pd.DataFrame(found, columns=columns).astype({"band_low": float, "band_high": float})


def curves(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the validations and curriculum of counted runs in long format: the cell, seed, step, tokens, measure,
    value. The curriculum's length has a row where it changes, and at the end.
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
    """Return the heat maps of a run; none if it has no weights. Raises UserError for a file that cannot be read."""
    path = folder / "alignments.npz"
    if not os.path.lexists(path):
        return []
    try:
        return validated_files.alignments(path)
    except BrokenError as error:
        raise UserError(f"{path.parent.name}: {error}") from error
