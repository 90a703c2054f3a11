"""A run from config to folder: how it ends, and what it writes."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from softlookup.config.build import build, device_of
from softlookup.config.resolve import composed
from softlookup.data.collate import collate
from softlookup.errors import UserError
from softlookup.evaluation.examined import Examined
from softlookup.evaluation.outputs import Output
from softlookup.inference.trained_run import load
from softlookup.run import start
from softlookup.runs.run_folder import RunFolder
from softlookup.task.grammar import Grammar
from softlookup.text.vocabulary import EOS, UNK, UNKNOWN

TRAIN = Path(__file__).parents[1] / "src" / "train.py"
TINY = ["task.longest=5", "encoder.width=7", "decoder.width=14", "tracking=disabled", "device=cpu"]


@pytest.mark.parametrize("kept", ["last", "average", "best"])
def test_the_row_holds_the_validation_of_the_final_model(kept: str, tmp_path: Path) -> None:
    """For the last weights, the mean of two, and the best; at this high rate the last are not the best."""
    measured = {"last": [], "average": ["average=2"], "best": ["keep=best", "optimizer.rate=1.0", "schedule=constant"]}
    words = [*TINY, "budget=3100", "batch_tokens=100", "validations=4", *measured[kept], f"runs_dir={tmp_path}"]
    config = composed(words)
    start(config)
    folder = RunFolder.of(config)
    row, last = folder.result(), folder.last_record()
    assert row is not None
    assert last["tokens"] == row["metrics"]["train/tokens"]
    model, batch = load(folder.path).model, collate(build(config.parts["task"]).validation())
    with torch.no_grad():
        loss = torch.nn.functional.cross_entropy(model(batch), batch.target[batch.target_mask]).item()
    assert row["metrics"]["validation/loss"] == pytest.approx(loss, rel=1e-6, abs=1e-5)
    assert (row["metrics"]["validation/loss"] == last["validation/loss"]) == (kept == "last")
    if kept == "best":
        best = min(folder.records(), key=lambda record: record["validation/loss"])
        value = {"step": best["step"], "tokens": best["tokens"], "value": best["validation/loss"]}
        assert row["kept"] == {"weights": "best", "metric": "validation/loss", **value}
    assert row["kept"]["weights"] == kept
    assert row["ended"] == "budget"
    assert not row["provenance"]["command"].startswith("/")
    # As many validations as requested.
    assert len(folder.records()) == row["metrics"]["train/validations"] == 4
    assert row["metrics"].get("train/averaged") == (2 if kept == "average" else None)


def test_validations_in_one_step_are_counted_once_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*TINY, "budget=300", "batch_tokens=100", "validations=7", "average=7", f"runs_dir={tmp_path}"]
    config = composed(words)
    start(config)
    row = RunFolder.of(config).result()
    assert row is not None
    assert (row["metrics"]["train/validations"], row["metrics"]["train/averaged"]) == (3, 3)
    assert row["kept"] == {"weights": "average", "of": 7, "different": 3}
    message = capsys.readouterr().out
    assert "validations=7: measured 3 times; some of the 3 steps crossed the ends of several" in message
    assert "average=7: the mean of 3 different weights" in message


def test_a_warm_up_longer_than_the_budget_is_reported_at_the_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = ["schedule=inverse_sqrt", "budget=500", "batch_tokens=100", "validations=1", f"runs_dir={tmp_path}"]
    for warm_up, count in ((5, 0), (7, 1)):
        start(composed([*TINY, *short, f"schedule.warm_up_steps={warm_up}"]))
        message = (
            f"schedule=inverse_sqrt warms up for {warm_up} steps, and budget=500 ends after about 5: the rate never"
        )
        assert capsys.readouterr().out.count(message) == count


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["attention=dot", "decoder.width=11"], "one width"),
        (["attention=fixed_final", "search=beam", "search.coverage_penalty=0.2"], "a fixed context has no weights"),
        (["search=beam", "search.n_best=7"], r"a beam of 5 may hold no more; set search\.size=7"),
    ],
)
def test_incompatible_parts_leave_no_run_folder(words: list[str], message: str, tmp_path: Path) -> None:
    config = composed([*TINY, *words, f"runs_dir={tmp_path}"])
    with pytest.raises(UserError, match=message):
        start(config)
    assert not RunFolder.of(config).path.exists()


def test_the_search_of_the_config_decodes_the_test_set(tmp_path: Path) -> None:
    """With a limit of one token every hypothesis has one token; a different search gives a different run id."""
    words = [*TINY, "budget=500", "batch_tokens=100", "validations=1", f"runs_dir={tmp_path}"]
    plain, short = (composed([*words, *more]) for more in ([], ["search=beam", "search.longest_ratio=0"]))
    short = replace(short, parts={**short.parts, "search": {**short.parts["search"], "longest_extra": 1}})
    assert RunFolder.of(plain).id != RunFolder.of(short).id
    start(short)
    row = RunFolder.of(short).result()
    assert row is not None
    assert row["choices"]["search"] == "beam"
    assert row["metrics"]["test/exact_match"] == 0
    with np.load(RunFolder.of(short).path / "alignments.npz") as archive:
        assert archive["weights_0"].shape[0] == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_cuda_without_a_device_is_reported() -> None:
    with pytest.raises(UserError, match="device=cpu or auto"):
        device_of("cuda")


def test_ctrl_c_during_a_run_is_not_a_failure(tmp_path: Path) -> None:
    command = [sys.executable, str(TRAIN), *TINY, "budget=50000000", "validations=10000", f"runs_dir={tmp_path}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # Shells set SIGINT to ignored for background jobs, and child processes inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    ) as run:
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob("*/*/metrics.jsonl")) and run.poll() is None and time.monotonic() < deadline:
            time.sleep(0.2)
        run.send_signal(signal.SIGINT)
        _, errors = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "Traceback" not in errors
    (state,) = tmp_path.glob("*/*/state.json")
    assert json.loads(state.read_text())["state"] == "preempted"


def test_an_unknown_word_counts_as_one_wrong_word() -> None:
    task = Grammar(longest=20)
    example = max(task.test(), key=lambda e: len(e.target))

    def bleu(word: int) -> float | None:
        ids = [*example.target[:10], word, *example.target[11:], EOS]
        return Examined([Output(example, ids, None, [*example.target, EOS], None)], task).row([0])["bleu_lowercased"]

    other = next(i for i in range(4, 200) if i not in example.target)
    assert bleu(UNK) == bleu(other)
    assert UNKNOWN not in task.target_vocabulary.tokens
