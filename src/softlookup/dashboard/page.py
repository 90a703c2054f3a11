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

import numpy as np
import pandas as pd

from softlookup.analysis.load import read
from softlookup.dashboard import run_page
from softlookup.dashboard.page_data import payload
from softlookup.system import atomic_files

# In this order; each uses only those before it, and functions that run after all are loaded.
SCRIPTS = (
    "data.js",
    "statistics.js",
    "state.js",
    "views.js",
    "plot.js",
    "effects.js",
    "lengths.js",
    "costs.js",
    "scatter.js",
    "profiles.js",
    "curves.js",
    "compare.js",
    "means.js",
    "tables.js",
    "controls.js",
    "page.js",
)


def write(runs_dir: Path, path: Path) -> Path:
    """Write the pages of runs that have none, then the dashboard of `runs_dir` to `path` atomically; return `path`.

    It links to the pages of runs if it lies in `runs_dir`, and shows the picture of costs by length that `make cost`
    may have drawn there. Raises UserError without runs, and OSError with the path that cannot be written.
    """
    rows = read(runs_dir)
    run_page.write_missing(rows)
    linked = path.absolute().parent.resolve() == runs_dir.resolve()
    atomic_files.write(path, render(rows, linked, _priced(runs_dir / "cost.png")).encode())
    return path


def _priced(picture: Path) -> str:
    """Return the section with the picture of costs by length; nothing where it has not been drawn."""
    try:
        content = atomic_files.content(picture)
    except OSError:
        return ""
    source = base64.b64encode(content).decode()
    words = "Peak memory and seconds of a pass over source and target of one length, both axes logarithmic"
    return (
        f'<section aria-labelledby="priced-title"><h2 id="priced-title">Cost by length (make cost)</h2>'
        f'<p class="sub">{words}. Its figures: cost.csv.</p>'
        f'<img alt="{words}" style="max-width: 100%; background: #fff" src="data:image/png;base64,{source}"></section>'
    )


def render(rows: pd.DataFrame, linked: bool = False, priced: str = "") -> str:
    """Return the page as text; `rows` from `analysis.load.read`, `priced` the section of costs by length."""
    content = payload(rows, linked)
    data = json.dumps(content, default=_typed, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    scripts = [_packaged("softlookup.heatmaps", "heatmap.js"), *(_packaged(__package__, name) for name in SCRIPTS)]
    parts = {
        "data": data,
        "priced": priced,
        "nonce": hashlib.sha256(data.encode()).hexdigest(),
        "plotly": _packaged(__package__, "plotly/plotly-basic.min.js"),
        "script": '"use strict";\n' + "\n".join(scripts),
    }
    # A single pass, so that placeholders within the data are not replaced.
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _packaged(__package__, "page.html"))


def _typed(array: np.ndarray) -> dict[str, str]:
    """Encode an array exactly, in a third of the size of decimal digits: its type and its bytes in base 64."""
    return {"dtype": f"{array.dtype.kind}{array.dtype.itemsize}", "bytes": base64.b64encode(array.tobytes()).decode()}


def _packaged(package: str, name: str) -> str:
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")
