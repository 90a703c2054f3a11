"""Time a sweep of eight runs with two workers and with one, and compare their rows."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from softlookup.timing.gpu.sections import Job, python

ROOT = Path(__file__).parents[4]
RUNS = 8
_CHOICES = ("attention=additive,general,fixed_final,fixed_mean", "seed=1,2")
_TINY = ("task=reverse", "task.longest=6", "budget=10000", "validations=2", "tracking=disabled")
_COMPARED = ("metrics", "by_length")


def measure(job: Job) -> Iterator[dict[str, Any]]:
    """Yield by number of workers the seconds and the finished runs, and of how many runs the rows are equal."""
    found: dict[str, Any] = {"runs": RUNS}
    rows: dict[int, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for workers in (2, 1):
            where = Path(folder) / str(workers)
            began = time.monotonic()
            done = subprocess.run(
                [*python(), ROOT / "src" / "train.py", "-m", *_CHOICES, *_TINY, f"device={job.device}",
                 f"workers={workers}", f"workers_per_gpu={workers}", f"runs_dir={where}"],
                capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
            )  # fmt: skip
            rows[workers] = _rows(where)
            found[f"workers={workers}"] = {
                "seconds": time.monotonic() - began,
                "run_seconds": [row["cost"]["cost/seconds"] for row in rows[workers].values()],
                "finished": len(rows[workers]),
                "code": done.returncode,
                **({"output": (done.stdout + done.stderr).splitlines()[-30:]} if done.returncode else {}),
            }
            yield found
    common = rows[1].keys() & rows[2].keys()
    found["equal"] = sum(all(rows[1][key][part] == rows[2][key][part] for part in _COMPARED) for key in common)
    yield found


def _rows(where: Path) -> dict[str, Any]:
    return {path.parent.name: json.loads(path.read_bytes()) for path in sorted(where.glob("*/*/result.json"))}
