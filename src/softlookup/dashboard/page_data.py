"""Collect all data of the page as JSON values and arrays. No torch.

The page draws every panel itself, so that each control can act on each of them: it gets values by run, measure and span
of source lengths, the step-by-step validations, and which variants may be compared. What is not measured is NaN.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd

from softlookup.analysis.effects import primary
from softlookup.analysis.headline import findings
from softlookup.analysis.inference import resamples, t_quantile
from softlookup.analysis.load import alignments
from softlookup.analysis.measures import measure
from softlookup.analysis.pairs import VALIDATION, comparable
from softlookup.analysis.spans import order, spans
from softlookup.analysis.statistics import counts
from softlookup.analysis.tables import data_lines, data_text, other_code
from softlookup.dashboard.run_page_data import PAGE
from softlookup.dashboard.style import COLORS, DARK, GLYPHS, Styles, styles
from softlookup.errors import UserError

WHOLE = ("cost/", "timing/", "validation/")  # prefixes of what is measured once for a run, at no length
MAPPED_SEEDS = 3  # seeds of a variant whose heat maps are shown: they take as much space as everything else of a run
RUN = ["task", "variant", "seed"]


def payload(rows: pd.DataFrame, linked: bool = False) -> dict[str, Any]:
    """Return all data of the page; `rows` from `analysis.load.read`. With `linked`, runs have the address of their own
    page, relative to the folder of all runs."""
    numbers, looks, values = counts(rows).to_dict("index"), styles(rows), spans(rows)
    pairs, gains = comparable(rows), primary(rows)
    answers = findings(rows, gains)
    experiments: list[dict[str, Any]] = []
    for name, cells in rows.groupby("experiment"):
        here = [frame[frame["experiment"] == name] for frame in (values, pairs, gains)]
        tasks = [
            _task(str(task), mine, looks[str(name)], *(frame[frame["task"] == task] for frame in here))
            for task, mine in cells.groupby("task", sort=False)  # in the order of the plan
        ]
        for task in tasks:
            mine = [one for one in answers if (one.experiment, one.task) == (name, task["name"])]
            task["answers"] = [
                {"text": str(one).removeprefix(f"{one.task}: "), "variants": [one.variant, one.reference]}
                for one in mine
            ]
        experiments.append(
            {
                "name": name,
                "counts": numbers[str(name)],
                "data": data_lines(cells),
                "tasks": tasks,
                "runs": _runs(cells, linked),
            }
        )
    shown = {name for experiment in experiments for task in experiment["tasks"] for name in task["values"]}
    shown |= {name for experiment in experiments for task in experiment["tasks"] for name in task["curves"]["values"]}
    seeds = rows[rows["counted"]].groupby(["experiment", "task", "variant"]).size()
    most = int(seeds.max() if len(seeds) else 1)
    return {
        "notes": other_code(rows),
        "measures": {name: asdict(measure(name)) for name in sorted(shown)},
        "quantiles": [t_quantile(freedom) for freedom in range(1, most)],
        # Of as many pairs as most comparisons have: 10 kB a pair.
        "resamples": {int(n): resamples(int(n)).astype(np.uint8).ravel() for n in seeds.unique() if 4 <= n < 256},
        "palette": {"light": COLORS, "dark": DARK},
        "experiments": experiments,
    }


def _runs(rows: pd.DataFrame, linked: bool) -> dict[str, list[Any]]:
    """Return all runs of an experiment by column, finished or not; the uncounted ones first."""
    rows = rows.sort_values("counted", kind="stable")
    runs: dict[str, list[Any]] = {name: rows[name].to_list() for name in ("id", *RUN, "status", "reason", "counted")}
    runs["data"] = [data_text(data) for data in rows["data"]]
    runs["page"] = [_address(row) if linked else "" for row in rows[["experiment", "id", "folder"]].to_dict("records")]
    return runs


def _address(row: Mapping[Any, Any]) -> str:
    there = os.path.exists(row["folder"] / PAGE)
    return f"./{quote(row['folder'].parent.name, safe='')}/{quote(row['folder'].name, safe='')}/{PAGE}" if there else ""


def _task(
    name: str, rows: pd.DataFrame, looks: Styles, values: pd.DataFrame, pairs: pd.DataFrame, gains: pd.DataFrame
) -> dict[str, Any]:
    counted = rows[rows["counted"]].reset_index(drop=True)
    variants = [v for v in looks if (rows["variant"] == v).any()]
    place = {variant: number for number, variant in enumerate(variants)}
    runs = pd.MultiIndex.from_frame(counted[["variant", "seed"]])
    bounds = values.groupby("span")[["low", "high"]].agg({"low": "min", "high": "max"})
    single = values[values["band_low"].notna() & values["variant"].isin(_single(counted))]
    return {
        "name": name,
        "unit": next(iter(counted["unit"]), "tokens"),
        "longest": sorted(float(n) for n in counted["longest"].dropna().unique()),
        "variants": [_variant(v, rows[rows["variant"] == v], looks) for v in variants],
        "ids": counted["id"].to_list(),
        "variant": [place[v] for v in counted["variant"]],
        "seeds": counted["seed"].to_list(),
        "spans": [{"name": n, **{end: _number(bounds[end][n]) for end in ("low", "high")}} for n in order(values)],
        "values": _values(values, runs, "value") | _once(counted),
        "bands": {end: _values(single, runs, f"band_{end}") for end in ("low", "high")},
        "primary": [_plain(row, place) for row in gains.to_dict("records")],
        "best": _best(counted, pairs, gains, place),
        **_comparable(pairs, place),
        "untimed": _untimed(counted),
        "curves": _curves(counted),
        "heat": _heat(counted),
    }


def _variant(name: str, rows: pd.DataFrame, looks: Styles) -> dict[str, Any]:
    style, planned = looks[name], rows[rows["planned"]]
    return {
        "name": name,
        "color": style.color,
        "dark": style.dark,
        "symbol": style.mark,
        "glyph": GLYPHS[style.symbol][style.fixed],
        "fixed": style.fixed,
        "n": int(planned["counted"].sum()),
        "planned": len(planned),
        "settings": next(iter(rows["settings"]), {}),
    }


def _values(values: pd.DataFrame, runs: pd.MultiIndex, column: str) -> dict[str, dict[str, np.ndarray]]:
    """Return a column of `spans` by measure and span, an array over runs each."""
    found: dict[str, dict[str, np.ndarray]] = {}
    for (name, span), cells in values.groupby(["measure", "span"], sort=False):
        on_runs = cells.set_index(["variant", "seed"])[column].reindex(runs).to_numpy(dtype=float)
        found.setdefault(str(name), {})[str(span)] = on_runs
    return found


def _once(counted: pd.DataFrame) -> dict[str, dict[str, np.ndarray]]:
    """Return what is measured once for a run: costs, timings and the last validation."""
    names = [n for n in map(str, counted) if n.startswith(WHOLE) and counted[n].notna().any()]
    known = [n for n in names if measure(n).meaning]
    return {name: {"all": counted[name].to_numpy(dtype=float)} for name in known}


def _single(counted: pd.DataFrame) -> list[str]:
    sizes = counted.groupby("variant").size()
    return [str(name) for name in sizes.index[sizes == 1]]


def _plain(row: Mapping[Any, Any], place: Mapping[str, int]) -> dict[str, Any]:
    """Return a row of `primary` with variants as numbers and NaN as None."""
    names = {key: place.get(row[key]) for key in ("variant", "reference")}
    return {key: _number(value) for key, value in row.items() if key not in ("experiment", "task")} | names


def _number(value: Any) -> Any:
    plain = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(plain, float) and np.isnan(plain) else plain


def _best(
    counted: pd.DataFrame, pairs: pd.DataFrame, gains: pd.DataFrame, place: Mapping[str, int]
) -> list[int | None]:
    """Return for each variant what it is compared with: the fixed context of `primary`, else the comparable one with
    the lowest mean validation loss; without any fixed context, the first comparable variant of the plan."""
    losses = counted.reindex(columns=["variant", "fixed", VALIDATION])
    known = losses[losses["fixed"].astype(bool)].groupby("variant")[VALIDATION].mean().dropna()
    chosen = {row["variant"]: row["reference"] for row in gains.to_dict("records") if row["reference"]}
    found: list[int | None] = []
    for name in place:
        partners = set(pairs.loc[(pairs["variant"] == name) & (pairs["why"] == ""), "reference"])
        partners |= {name}
        rest = known[known.index.isin(partners)]
        best = chosen.get(name) or (str(rest.idxmin()) if len(rest) else None)
        if not counted["fixed"].any():
            best = next((other for other in counted["variant"].unique() if other in partners), None)
        found.append(place.get(best) if best else None)
    return found


def _comparable(pairs: pd.DataFrame, place: Mapping[str, int]) -> dict[str, Any]:
    """Return `whys`, and `why`: for each variant and reference the place of its reason there, 0 where there is none."""
    whys, grid = [""], np.zeros((len(place), len(place)), dtype=np.int32)
    numbers = {"": 0}
    for variant, reference, why in pairs[["variant", "reference", "why"]].itertuples(index=False):
        if why not in numbers:
            numbers[why] = len(whys)
            whys.append(why)
        grid[place[variant], place[reference]] = numbers[why]
    return {"whys": whys, "why": grid.ravel()}


def _untimed(counted: pd.DataFrame) -> str:
    """Explain why the steps of some or all variants were not timed."""
    missing = counted[counted["untimed"] != ""].groupby("variant")["untimed"].first()
    if missing.empty:
        return ""
    which = "Not timed" if len(missing) == counted["variant"].nunique() else f"Not timed: {', '.join(missing.index)}"
    return f"{which} ({'; '.join(missing.unique())}). Wall times of runs on a shared machine are not comparable."


def _curves(counted: pd.DataFrame) -> dict[str, Any]:
    """Return all validations, one after the other: `run` (place among the task's runs), step, tokens, seconds, and
    `values` by measure."""
    records = [(number, record) for number, row in enumerate(counted["validations"]) for record in row]
    names = {n for _, record in records for n in record if n.startswith("validation/") or n == "curriculum/length"}
    columns = {
        n: np.array([_float(record.get(n)) for _, record in records]) for n in (*sorted(names), "tokens", "seconds")
    }
    places = {n: columns.pop(n) for n in ("tokens", "seconds")}
    steps = np.array([record["step"] for _, record in records], dtype=np.int32)
    runs = np.array([number for number, _ in records], dtype=np.int32)
    return {"run": runs, "step": steps, **places, "values": columns}


def _float(value: object) -> float:
    return float(value) if isinstance(value, int | float) else np.nan


def _heat(counted: pd.DataFrame) -> dict[str, Any]:
    """Return the heat maps of the first seeds of each variant by run, weights in whole percents, and a note of what is
    left out or broken."""
    runs, notes = {}, []
    kept = counted.sort_values(["variant", "seed"]).groupby("variant").head(MAPPED_SEEDS)
    if len(kept) < len(counted):
        notes.append(f"The first {MAPPED_SEEDS} seeds of each variant; every run has its own in its folder.")
    for row in kept.sort_values(["seed", "variant"]).to_dict("records"):
        try:
            examples = [
                {
                    "weights": np.rint(100 * np.clip(np.nan_to_num(one.weights), 0, 2.55)).astype(np.uint8).ravel(),
                    "gold": [int(cell) for cell in np.flatnonzero(one.gold)],
                    **{name: list(getattr(one, name)) for name in ("source", "target", "reference")},
                }
                for one in alignments(row["folder"])
            ]
        except UserError as error:
            notes.append(f"{error}.")
            continue
        if examples:
            runs[row["id"]] = examples
    return {"runs": runs, "note": " ".join(notes)}
