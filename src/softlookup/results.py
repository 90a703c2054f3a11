"""Run folders to tidy tables. Reads files only: no torch, nothing written.

A **cell** is one planned run: a task, a variant and a seed. A **variant** is what differs between the cells of one
task: the choices that vary within the experiment. A cell counts in means when its run is finished and planned;
every other cell keeps its row, with the reason.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from softlookup.errors import UserError

CELL = ["experiment", "task", "variant"]
BOUNDS = ("low", "high", "count")


@dataclass(frozen=True)
class Alignment:
    """One example's lookup: weights (T, S), gold (T, S) booleans, and the words of source, output and reference."""

    weights: np.ndarray
    gold: np.ndarray
    source: list[str]
    target: list[str]
    reference: list[str]


def read(runs_dir: Path) -> pd.DataFrame:
    """One row for each cell under `runs_dir`, finished or not: planned cells, and runs that no plan names.

    Columns: experiment, id, task, variant, fixed, seed, status, reason, planned, counted, longest (source length of
    training), by_length (a list of dicts), folder, and one column for each metric and cost, NaN where absent.
    Raises UserError where there is no run at all, or a plan that cannot be read.
    """
    folders = sorted(p for p in runs_dir.iterdir() if p.is_dir()) if runs_dir.is_dir() else []
    cells = [cell for folder in folders for cell in _experiment(folder)]
    if not cells:
        raise UserError(f"no runs in {runs_dir}: expected folders {runs_dir}/EXPERIMENT/RUN; type: make sweep")
    metrics = sorted({name for cell in cells for name in cell["values"]})
    rows = pd.DataFrame([{k: v for k, v in cell.items() if k != "values"} for cell in cells])
    values = pd.DataFrame([cell["values"] for cell in cells], columns=metrics, dtype=float)
    return pd.concat([rows, values], axis=1)


def _experiment(folder: Path) -> list[dict[str, Any]]:
    plan = _json(folder / "plan.json")
    if plan is None and (folder / "plan.json").exists():
        raise UserError(f"{folder / 'plan.json'} cannot be read: run the sweep again to write it, or delete it")
    planned = {cell["id"]: cell for cell in plan["planned"]} if plan else {}
    names = {path.parent.name for name in ("state.json", "result.json") for path in folder.glob(f"*/{name}")}
    cells = [_cell(folder / name, planned.get(name), bool(plan)) for name in [*planned, *sorted(names - set(planned))]]
    choices = [cell.pop("choices") for cell in cells]
    keys = list(dict.fromkeys(key for choice in choices for key in choice))
    given = [choice for choice in choices if choice]
    varying = [k for k in keys if k != "task" and len({repr(choice.get(k)) for choice in given}) > 1]
    seen: dict[tuple[str, str, int], dict[str, Any]] = {}
    for cell, choice in zip(cells, choices, strict=True):
        cell["task"] = str(choice.get("task", "unknown"))
        cell["variant"] = _variant(choice, varying or ["attention"])
        cell["fixed"] = str(choice.get("attention", "")).startswith("fixed_")
        place = (cell["task"], cell["variant"], cell["seed"])
        if cell["counted"] and place in seen:  # without a plan, an older run of the same cell may lie beside it
            older = min(seen[place], cell, key=lambda c: (c["folder"] / "result.json").stat().st_mtime)
            older |= {"planned": False, "counted": False}
            older["reason"] = "an older run of the same task, variant and seed: not in the means"
        if cell["counted"]:
            seen[place] = cell
    return cells


def _cell(folder: Path, planned: dict[str, Any] | None, has_plan: bool) -> dict[str, Any]:
    state = _json(folder / "state.json") or {}
    result = _json(folder / "result.json") or {}
    status, reason = state.get("state", "finished"), state.get("reason") or ""
    if not folder.is_dir():
        status, reason = "missing", "planned, never started"
    elif status == "finished" and result.get("status") != "finished":
        status, reason, result = "missing", "result.json is absent or cannot be read", {}
    elif status != "finished":
        result = {}
    in_plan = planned is not None or not has_plan
    if not in_plan:
        reason = f"not in the plan: not in the means{'; ' if reason else ''}{reason}"
    # A run that did not finish outside a plan still has its config.
    known = planned or result or _config(folder)
    values = {**result.get("metrics", {}), **result.get("cost", {})}
    return {
        "experiment": folder.parent.name,
        "id": folder.name,
        "choices": known.get("choices", {}),
        "seed": int(known.get("seed", -1)),
        "status": status,
        "reason": reason,
        "planned": in_plan,
        "counted": in_plan and status == "finished",
        "longest": result.get("longest", np.nan),
        "by_length": result.get("by_length", []),
        "folder": folder,
        "values": {name: value for name, value in values.items() if not isinstance(value, str)},
    }


def _json(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _config(folder: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return content if isinstance(content, dict) else {}


def _variant(choices: dict[str, Any], varying: Sequence[str]) -> str:
    """Choices of a group by their name, overrides (`attention.heads`, `budget`) by name and value."""
    named = {key: "." not in key and isinstance(value, str) for key, value in choices.items()}
    words = [choices[key] if named[key] else f"{key}={choices[key]}" for key in varying if key in choices]
    return " · ".join(words) or "unknown"


def by_length(rows: pd.DataFrame) -> pd.DataFrame:
    """Counted runs by source length, long: the cell, seed, longest, low, high, count, length (the
    middle of low and high), measure, value.

    A measure that is absent from a run (an alignment without weights) has no row.
    """
    found = []
    for row in rows[rows["counted"]].to_dict("records"):
        cell = {key: row[key] for key in (*CELL, "seed", "longest")}
        for bucket in row["by_length"]:
            bounds = {key: bucket[key] for key in BOUNDS}
            values = {k: v for k, v in bucket.items() if k not in BOUNDS and v is not None}
            middle = (bucket["low"] + bucket["high"]) / 2
            found += [{**cell, **bounds, "length": middle, "measure": k, "value": v} for k, v in values.items()]
    return pd.DataFrame(found, columns=[*CELL, "seed", "longest", *BOUNDS, "length", "measure", "value"])


def curves(rows: pd.DataFrame) -> pd.DataFrame:
    """Validation and curriculum of every counted run, long: the cell, seed, step, tokens, measure, value.

    The curriculum's length is kept where it changes, and at the end.
    """
    found = []
    for row in rows[rows["counted"]].to_dict("records"):
        cell = {key: row[key] for key in (*CELL, "seed")}
        found += [{**cell, **point} for point in _points(row["folder"] / "metrics.jsonl")]
    return pd.DataFrame(found, columns=[*CELL, "seed", "step", "tokens", "measure", "value"])


def _points(path: Path) -> Iterator[dict[str, Any]]:
    length, last = None, None
    for line in path.read_text(encoding="utf-8").split("\n") if path.exists() else []:
        try:
            logged = json.loads(line)
        except ValueError:  # empty, or torn by a kill while it was written
            continue
        at = {"step": logged["step"], "tokens": logged["tokens"]}
        for measure, value in logged.items():
            if measure.startswith("validation/") and value is not None:
                yield {**at, "measure": measure, "value": value}
        if "curriculum/length" in logged:
            last = {**at, "measure": "curriculum/length", "value": logged["curriculum/length"]}
            if last["value"] != length:
                length = last["value"]
                yield last
    if last:
        yield last


def alignments(folder: Path) -> list[Alignment]:
    """The examples kept by a run; none where it has no weights."""
    path = folder / "alignments.npz"
    if not path.exists():
        return []
    with np.load(path, allow_pickle=False) as stored:
        count = sum(name.startswith("weights_") for name in stored.files)
        words = ("source", "target", "reference")
        return [
            Alignment(stored[f"weights_{i}"], stored[f"gold_{i}"], *(stored[f"{name}_{i}"].tolist() for name in words))
            for i in range(count)
        ]
