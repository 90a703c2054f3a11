"""Write the page of each run into its folder: run.html. No torch.

The page is drawn from the other files of the folder, and can be drawn again at any time: no result, no digest and no
name of a run depends on it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd

from softlookup.dashboard.run_page_data import PAGE, run_data
from softlookup.heatmaps import html
from softlookup.system import atomic_files

INPUTS = ("result.json", "state.json", "config.yaml", "metrics.jsonl", "alignments.npz", "log.txt")
UNSETTLED = ("running", "preempted")  # a run changes between these two without a change of its files


def write_missing(rows: pd.DataFrame) -> None:
    """Write the pages of all runs that have a folder and no page of its present files; `rows` from
    `analysis.load.read`.

    A folder that cannot be written to is reported in one line: its page is missing, and nothing else depends on it.
    """
    broken: list[OSError] = []
    for row in rows.to_dict("records"):
        page = Path(row["folder"]) / PAGE
        newest = _newest(page.parent)
        if newest and (row["status"] in UNSETTLED or not _is_of(page, newest)):
            content = render(row).encode()
            try:
                with atomic_files.written(page, flush=False) as aside:
                    aside.write_bytes(content)
                    os.utime(aside, ns=(newest, newest))  # by which `_is_of` knows what the page was drawn from
            except OSError as error:
                broken.append(error)
    if broken:
        first, more = broken[0], f", and {len(broken) - 1} more" if broken[1:] else ""
        print(f"no page of a run: {first.filename} ({first.strerror}){more}", file=sys.stderr)


def render(row: Mapping[Any, Any]) -> str:
    """Return the page of a run as text; `row` is the run's, from `analysis.load.read`."""
    files = [_packaged(f"run_page.{kind}") for kind in ("html", "js", "css")]
    return html.document(f"{row['id']}", files[0], run_data(row), *files[1:])


def _newest(folder: Path) -> int:
    """Return when the newest file that a page is drawn from was changed, in ns; 0 for a folder without any.

    The program's files count too: another version draws other pages.
    """
    times = []
    for name in INPUTS:
        try:
            times.append((folder / name).stat().st_mtime_ns)
        except OSError:
            continue
    return max(*times, _program()) if times else 0


def _is_of(page: Path, newest: int) -> bool:
    try:
        found = page.stat()
    except OSError:
        return False
    return found.st_mtime_ns == newest and found.st_size > 0  # a power cut may leave an empty file


@cache
def _program() -> int:
    """Return when the newest file was changed that draws pages."""
    here = Path(__file__).parent
    drawers = [*here.glob("run_*"), *Path(html.__file__).parent.glob("h*")]
    return max(path.stat().st_mtime_ns for path in drawers)


@cache
def _packaged(name: str) -> str:
    return resources.files("softlookup.dashboard").joinpath(name).read_text(encoding="utf-8")
