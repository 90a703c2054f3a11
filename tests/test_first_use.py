"""Commands of a first user: train on a folder of text, evaluate the run on another test set, start a run from it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import used_runs

HOUSE = Path(__file__).parents[1]


def typed(folder: Path, *words: str) -> str:
    """Run a command of the project in another folder; return its output."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(folder / "cache")}
    done = subprocess.run(
        [sys.executable, str(HOUSE / "src" / words[0]), *words[1:]],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_folder_of_text_is_trained_on_and_evaluated(tmp_path: Path) -> None:
    """Files are train.src, train.tgt, dev.src, …; the run folder is read from the output of training."""
    used_runs.corpus(tmp_path / "text")
    small = ["encoder.width=7", "decoder.width=14", "budget=500", "batch_tokens=200", "validations=1"]
    text = ["task=multi30k", "task.path=text", "task.source=src", "task.target=tgt", "tracking=disabled"]
    said = typed(tmp_path, "train.py", *text, *small)
    (run,) = (line.split(maxsplit=1)[1] for line in said.splitlines() if line.startswith("run "))
    row = json.loads(typed(tmp_path, "evaluate.py", f"run={run}", "source=text/dev.src", "target=text/dev.tgt"))
    assert (row["run"], row["examples"]) == (Path(run).name, 23)
    assert row["same_as"] == ["validation"]
    assert row["metrics"]["test/bleu"] is not None
