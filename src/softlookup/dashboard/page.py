"""Render the dashboard as one HTML file that works without a server or a network. No torch.

Data from runs (names, tokens, reasons) is embedded as JSON and inserted as text, never as markup; the page's content
security policy allows only its own script, and no requests.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from plotly.offline import get_plotlyjs

from softlookup.analysis.headline import headlines
from softlookup.analysis.load import alignments, by_length, curves, read
from softlookup.analysis.measures import UP_TO, title
from softlookup.analysis.statistics import band_note, counts, summary
from softlookup.analysis.tables import data_lines, other_code, runs_table, summary_table
from softlookup.dashboard import charts, heatmap_figure, run_page
from softlookup.dashboard.style import GLYPHS, Styles, styles
from softlookup.errors import UserError
from softlookup.system import atomic_files

QUALITIES = (
    "test/token_accuracy",
    "test/exact_match",
    "test/bleu_lowercased",
    "test/bleu",
    "test/chrf_lowercased",
    "test/area",
)
FIRST = ("token_accuracy", "exact_match", "forced/alignment_accuracy", "bleu_lowercased")
DECODINGS = {"test/forced/": "teacher forcing", "test/": f"free decoding, {UP_TO}"}
MAPPED_SEEDS = 3  # seeds of a variant whose heat maps are shown: they take as much space as everything else of a run


def write(runs_dir: Path, path: Path) -> Path:
    """Write the pages of runs that have none, then the dashboard of `runs_dir` to `path` atomically; return `path`.

    Raises UserError without runs, and OSError with the path that cannot be written.
    """
    rows = read(runs_dir)
    run_page.write_missing(rows)
    atomic_files.write(path, render(rows).encode())
    return path


def render(rows: pd.DataFrame) -> str:
    """Return the page as text; `rows` from `analysis.load.read`."""
    data = json.dumps(payload(rows), default=_typed, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    parts = {
        "data": data,
        "nonce": hashlib.sha256(data.encode()).hexdigest(),
        "plotly": get_plotlyjs(),
        "script": _packaged("page.js"),
    }
    # A single pass, so that placeholders within the data are not replaced.
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _packaged("page.html"))


def _typed(array: np.ndarray | np.generic) -> Any:
    """Encode an array as plotly's typed array: exact, a third of the size of decimal digits, and NaN is a gap."""
    if isinstance(array, np.generic):  # a scalar, which plotly does not accept as typed array
        return array.item()
    encoded = {
        "dtype": f"{array.dtype.kind}{array.dtype.itemsize}",
        "bdata": base64.b64encode(array.tobytes()).decode(),
    }
    return encoded if array.ndim == 1 else {**encoded, "shape": ", ".join(map(str, array.shape))}


def _packaged(name: str) -> str:
    return resources.files("softlookup.dashboard").joinpath(name).read_text(encoding="utf-8")


def payload(rows: pd.DataFrame) -> dict[str, Any]:
    """Return all data of the page as JSON values; `rows` from `analysis.load.read`."""
    numbers = counts(rows)
    looks, buckets, points = styles(rows), by_length(rows), curves(rows)
    experiments = []
    for name, cells in rows.groupby("experiment"):
        tasks = []
        for task, mine in cells.groupby("task", sort=False):  # in the order of the plan
            here = [frame[(frame["experiment"] == name) & (frame["task"] == task)] for frame in (buckets, points)]
            tasks.append(_task(str(task), mine, looks[str(name)], *here))
        columns, lines = runs_table(cells)
        experiments.append({"name": name, "tasks": tasks, "runs": {"columns": columns, "rows": lines}})
    table = {"columns": ["experiment", *numbers], "rows": numbers.reset_index().astype(str).to_numpy().tolist()}
    return {
        "answers": headlines(rows),
        "counts": table,
        "notes": other_code(rows),
        "experiments": experiments,
    }


def _task(name: str, rows: pd.DataFrame, looks: Styles, buckets: pd.DataFrame, points: pd.DataFrame) -> dict[str, Any]:
    columns, lines = summary_table(rows)
    measured = sorted(buckets["measure"].unique(), key=lambda m: (m not in FIRST, FIRST.index(m) if m in FIRST else m))
    qualities = [q for q in QUALITIES if q in rows and rows[q].notna().any()]
    prefixes = [p for p in DECODINGS if f"{p}alignment_accuracy" in rows and rows[f"{p}token_accuracy"].notna().any()]
    return {
        "name": name,
        "variants": _variants(rows, looks),
        "summary": {"columns": columns[1:], "rows": [line[1:] for line in lines]},
        "length": [
            {
                "name": title(m),
                "figure": charts.quality_by_length(buckets, m, looks),
                "note": band_note(buckets[buckets["measure"] == m]),
            }
            for m in measured
        ],
        "alignment": [
            {
                "name": DECODINGS[prefix],
                "figure": charts.alignment_beside_quality(rows, looks, prefix),
            }
            for prefix in prefixes
        ],
        "cost": [
            {
                "name": title(q),
                "figures": [
                    charts.quality_by_cost(rows, looks, c, q) if c in rows and rows[c].notna().any() else None
                    for c in charts.UNITS
                ],
            }
            for q in qualities
        ],
        "untimed": _untimed(rows),
        "data": data_lines(rows),
        "curves": charts.learning_curves(points, looks) if len(points) else None,
        "heat": _heat(rows),
    }


def _untimed(rows: pd.DataFrame) -> str:
    """Explain why the steps of some or all variants were not timed."""
    counted = rows[rows["counted"]]
    missing = counted[counted["untimed"] != ""].groupby("variant")["untimed"].first()
    if missing.empty:
        return ""
    which = "Not timed" if len(missing) == counted["variant"].nunique() else f"Not timed: {', '.join(missing.index)}"
    return f"{which} ({'; '.join(missing.unique())}). Wall times of runs on a shared machine are not comparable."


def _variants(rows: pd.DataFrame, looks: Styles) -> list[dict[str, Any]]:
    seeds = summary(rows, ()).set_index("variant")
    return [
        {
            "name": name,
            "color": style.color,
            "glyph": GLYPHS[style.symbol][style.fixed],
            "fixed": style.fixed,
            "n": int(seeds["n"][name]),
            "planned": int(seeds["planned"][name]),
        }
        for name, style in looks.items()
        if name in seeds.index
    ]


def _heat(rows: pd.DataFrame) -> dict[str, Any]:
    """Return the heat maps of the first seeds of each variant, and a note of what is left out or broken."""
    runs, notes = [], []
    kept = rows[rows["counted"]].sort_values(["variant", "seed"]).groupby("variant").head(MAPPED_SEEDS)
    if len(kept) < rows["counted"].sum():
        notes.append(f"The first {MAPPED_SEEDS} seeds of each variant; every run has its own in its alignments.npz.")
    for row in kept.sort_values(["seed", "variant"]).to_dict("records"):
        try:
            examples = [
                {"figure": heatmap_figure.heat_map(example), "reference": " ".join(example.reference)}
                for example in alignments(row["folder"])
            ]
        except UserError as error:
            notes.append(f"{error}.")
            continue
        if examples:
            runs.append({"name": f"{row['variant']}, seed {row['seed']}", "examples": examples})
    return {"runs": runs, "note": " ".join(notes)}
