"""Export result rows as CSV files. No torch.

    runs.csv        a row for each cell: what became of it, and every metric and cost that no clock measured
    by_length.csv   counted runs by source length, long: a row for each measure of each bucket, with its own bounds
    curves.csv      their validations and the length of the curriculum, long, by step and target tokens
    summary.csv     by task and variant: seeds, means, standard deviations, and the gain over a fixed context equal in
                    all but the attention axis, or why there is none
    counts.csv      cells by experiment and status
    times.csv       a row for each cell: what a clock or an allocator measured (`cost/`: the wall time of a run that may
                    have shared its machine; `timing/`: a step of its variant, timed alone)

The same configs on the same machine give the same bytes in all but times.csv, however often the runs were stopped and
taken up again: rows are sorted, floats are written so that they read back as they were, and nothing holds a path or a
date. (The reason of a run that did not finish is the machine's word, and may name what it measured.)

An absent value is an empty cell. In text, white space is one space each, and what a spreadsheet would take for a
formula (a first `=`, `+`, `-` or `@`) has an apostrophe before it.
"""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pandas as pd

from softlookup.analysis.load import CELL, by_length, curves, read
from softlookup.analysis.pairs import against_fixed
from softlookup.analysis.statistics import counts, summary
from softlookup.analysis.tables import data_told, kept_told
from softlookup.errors import UserError, nearest
from softlookup.system import atomic_files

TIMES = re.compile(r"^cost/.*(seconds|per_second|max_memory_allocated)|^timing/")
FORMULA = ("=", "+", "-", "@")


def write(runs_dir: Path, folder: Path, experiment: str | None = None) -> Path:
    """Write the tables of all experiments, or of one, each of them whole or not at all, and return `folder`.

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
    """Return every file's name and table. `rows` as `results.read` gives them."""
    rows = rows.sort_values([*CELL, "seed", "id"], ignore_index=True)
    measured = sorted(name for name in map(str, rows) if "/" in name and rows[name].notna().any())
    times = [name for name in measured if TIMES.match(name)]
    lasting = [name for name in measured if name not in times]
    rows["data"] = rows["data"].map(data_told)
    rows["kept"] = [kept_told(kept) if kept else "" for kept in rows["kept"]]
    origin = ["kept", "init_from", "continue_from"]
    cell = ["experiment", "id", "task", "variant", "variant_key", "seed"]
    place = [*CELL, "seed"]
    own = [f"{folder.absolute()}/" for folder in rows["folder"]]
    rows["reason"] = [reason.replace(path, "") for reason, path in zip(rows["reason"], own, strict=True)]
    return {
        "runs.csv": rows[[*cell, "status", "reason", "planned", "counted", "data", *origin, "longest", *lasting]],
        "by_length.csv": by_length(rows).sort_values([*place, "low", "high", "measure"], kind="stable"),
        "curves.csv": curves(rows).sort_values([*place, "measure", "step"], kind="stable"),
        "summary.csv": summary(rows, lasting).merge(against_fixed(rows), how="left", on=CELL),
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
