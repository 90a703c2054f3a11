"""Export result rows as CSV files. No torch.

    runs.csv        a row for each cell: its status, and all metrics and costs except measured times
    by_length.csv   counted runs by source length, long format: a row for each measure of each bucket, with its bounds
    curves.csv      their validations and the length of the curriculum, long format, by step and target tokens
    summary.csv     by task and variant: seeds, means, standard deviations, and the gain over a fixed context that
                    differs only in the attention axis, or why there is none
    effects.csv     the primary effect of each attention: its gain over the best fixed context at one length, with
                    intervals, p and what decides it
    pairs.csv       every other pair that may be compared, at the same length (exploratory)
    profiles.csv    the interquartile mean of each variant there, and the share of its runs above each threshold
    counts.csv      cells by experiment and status
    times.csv       a row for each cell: what a clock or an allocator measured (`cost/`: the wall time of a run that may
                    have shared its machine; `timing/`: a step of its variant, timed alone)

The same configs on the same machine give the same bytes in all files except times.csv, even if runs were stopped and
resumed: rows are sorted, floats are written with full precision, and there are no paths or dates. (The reason of an
unfinished run is an exception: it may contain measured values.)

An absent value is an empty cell. White space in text is collapsed to single spaces, and text that a spreadsheet would
read as a formula (a first `=`, `+`, `-` or `@`) is prefixed with an apostrophe.
"""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pandas as pd

from softlookup.analysis.effects import exploratory, primary, profiles
from softlookup.analysis.load import CELL, by_length, curves, read
from softlookup.analysis.pairs import against_fixed
from softlookup.analysis.statistics import counts, summary
from softlookup.analysis.tables import data_text, kept_text, matched_text
from softlookup.errors import UserError, nearest
from softlookup.system import atomic_files

TIMES = re.compile(r"^cost/.*(seconds|per_second|max_memory_allocated)|^timing/")
FORMULA = ("=", "+", "-", "@")


def write(runs_dir: Path, folder: Path, experiment: str | None = None) -> Path:
    """Write the tables of all experiments, or of one, each atomically, and return `folder`.

    Raises UserError where there is no run or no such experiment, and OSError with the path that cannot be written.
    """
    rows = read(runs_dir)
    names = sorted(rows["experiment"].unique())
    if experiment is not None and experiment not in names:
        raise UserError(f"experiment={experiment} has no runs in {runs_dir}; {nearest(experiment, names)}")
    chosen = rows if experiment is None else rows[rows["experiment"] == experiment]
    files = {name: _csv(table) for name, table in tables(chosen).items()}
    for name, content in files.items():
        atomic_files.write(folder / name, content)
    return folder


def tables(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the tables by file name; `rows` from `analysis.load.read`."""
    rows = rows.sort_values([*CELL, "seed", "id"], ignore_index=True)
    measured = sorted(name for name in map(str, rows) if "/" in name and rows[name].notna().any())
    times = [name for name in measured if TIMES.match(name)]
    reproducible = [name for name in measured if name not in times]
    rows["data"] = rows["data"].map(data_text)
    rows["kept"] = [kept_text(kept) if kept else "" for kept in rows["kept"]]
    origin = ["kept", "matched", "init_from", "continue_from"]
    cell = ["experiment", "id", "task", "variant", "variant_key", "seed"]
    place = [*CELL, "seed"]
    folders = [f"{folder.absolute()}/" for folder in rows["folder"]]
    rows["reason"] = [reason.replace(path, "") for reason, path in zip(rows["reason"], folders, strict=True)]
    return {
        "runs.csv": rows[
            [*cell, "status", "reason", "planned", "counted", "data", *origin, "longest", *reproducible]
        ].assign(matched=[matched_text(matched) for matched in rows["matched"]]),
        "by_length.csv": by_length(rows).sort_values([*place, "low", "high", "measure"], kind="stable"),
        "curves.csv": curves(rows).sort_values([*place, "measure", "step"], kind="stable"),
        "summary.csv": summary(rows, reproducible).merge(against_fixed(rows), how="left", on=CELL),
        "effects.csv": primary(rows),
        "pairs.csv": exploratory(rows),
        "profiles.csv": profiles(rows),
        "counts.csv": counts(rows).reset_index(),
        "times.csv": rows[[*cell, *times]],
    }


def _csv(table: pd.DataFrame) -> bytes:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows(zip(*([_cell(value) for value in table[name].to_list()] for name in table), strict=True))
    return buffer.getvalue().encode()


def _cell(value: object) -> object:
    if isinstance(value, str):
        text = " ".join(value.split())
        return f"'{text}" if text.startswith(FORMULA) else text
    return "" if pd.isna(value) else value  # type: ignore[call-overload]
