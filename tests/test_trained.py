"""Finding and loading a finished run, and the one-line error for every defect."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from softlookup.config.build import build
from softlookup.errors import UserError
from softlookup.evaluation.evaluate import evaluate
from softlookup.inference.trained_run import load
from softlookup.runs.finished_run import VOCABULARIES, WEIGHTS, find
from softlookup.text.normalize_line import Form
from softlookup.text.vocabulary import Vocabulary, WordVocabulary, restored
from softlookup.training.checkpoints import serialized


@pytest.fixture
def run(runs: dict[str, Path], tmp_path: Path) -> Path:
    """Copy a run under its own name, so that a test can damage it."""
    original = runs["additive"]
    return Path(shutil.copytree(original, tmp_path / "runs" / "single" / original.name))


def test_the_loaded_model_gives_the_measured_metrics(run: Path) -> None:
    trained = load(run)
    task = build(trained.config.parts["task"])
    row = json.loads((run / "result.json").read_text())
    assert (
        evaluate(trained.model, task, torch.device("cpu"), build(trained.config.parts["search"])).metrics.items()
        <= row["metrics"].items()
    )
    assert (trained.source.tokens, trained.target.tokens) == (
        task.source_vocabulary.tokens,
        task.target_vocabulary.tokens,
    )
    assert not trained.model.training


def test_loading_builds_no_task(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("softlookup.task.copy.Copy.__init__", lambda *_: pytest.fail("the corpus was loaded"))
    load(run)


def test_a_vocabulary_is_restored_from_its_state() -> None:
    for vocabulary in (Vocabulary(["b", "ä", "."]), WordVocabulary(["b", "a"], Form(lowercase=True))):
        again = restored(json.loads(json.dumps(vocabulary.state())))
        for line in ("b ä .", "a B. x", ""):
            assert again.read(line) == vocabulary.read(line)
            assert again.write(again.read(line)) == vocabulary.write(vocabulary.read(line))


def _damaged(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    return lambda run: (run / name).write_bytes(change((run / name).read_bytes())) and None


def _state(state: str) -> Callable[[Path], None]:
    return lambda run: (run / "state.json").write_text(json.dumps({"state": state, "reason": "why"})) and None


def _row(**changed: object) -> Callable[[Path], None]:
    def damage(run: Path) -> None:
        row = json.loads((run / "result.json").read_text())
        (run / "result.json").write_text(json.dumps({k: v for k, v in (row | changed).items() if v is not None}))

    return damage


def _config(run: Path) -> None:
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["encoder"]["width"] = 11
    (run / "config.yaml").write_text(yaml.safe_dump(config))


HARMS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a bit": (
        _damaged(WEIGHTS, lambda data: data[:99] + bytes([data[99] ^ 1]) + data[100:]),
        "final.pt is corrupt .*SHA",
    ),
    "cut": (_damaged(WEIGHTS, lambda data: data[:-7]), r"final.pt is corrupt \(\d+ of \d+ bytes\)"),
    "words": (
        _damaged(VOCABULARIES, lambda data: data.replace(b'"a"', b'"q"')),
        "vocabularies.json is corrupt .*SHA-256",
    ),
    "no weights": (lambda run: (run / WEIGHTS).unlink(), "final.pt cannot be read"),
    "no words": (lambda run: (run / VOCABULARIES).unlink(), "vocabularies.json cannot be read"),
    "older": (_row(files=None), "made before runs kept .* rm -r"),
    "files of another shape": (_row(files=[7]), "result.json: files cannot be read"),
    "another's row": (_row(id="other"), "result.json: id is not the name of its folder"),
    "failed": (_state("failed"), r"is failed \(why\): only a finished run can be used"),
    "killed": (_state("running"), "is preempted"),
    "no state": (lambda run: (run / "state.json").write_text("{}"), "without a state"),
    "another config": (_config, "config.yaml is the config of additive-gru-copy-s1-.*not of this folder"),
    "no config": (lambda run: (run / "config.yaml").unlink(), "config.yaml is missing or broken"),
    "a list": (lambda run: (run / "config.yaml").write_text("[1]"), "config.yaml is missing or broken"),
}


@pytest.mark.parametrize("harm", HARMS, ids=str)
def test_a_defect_of_a_run_is_reported_in_one_line(run: Path, harm: str) -> None:
    do, message = HARMS[harm]
    do(run)
    with pytest.raises(UserError, match=message) as raised:
        load(run)
    assert "\n" not in str(raised.value)


def test_weights_with_code_are_rejected_even_with_the_right_checksum(run: Path) -> None:
    data = serialized({"model": torch.nn.Linear(2, 3)})
    (run / WEIGHTS).write_bytes(data)
    row = json.loads((run / "result.json").read_text())
    row["files"][0] |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (run / "result.json").write_text(json.dumps(row))
    with pytest.raises(UserError, match="more than tensors"):
        load(run)


def test_a_run_is_found_by_path_and_by_id_from_any_folder(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs_dir = run.parents[1]
    assert find(str(run), Path("runs")) == run
    assert find(run.name, runs_dir) == run
    assert find(f"single/{run.name}", runs_dir) == runs_dir / "single" / run.name
    monkeypatch.chdir(run.parent)
    assert find(run.name, Path("nowhere")) == Path(run.name)


def test_a_run_that_is_not_found_is_reported_with_the_nearest_name(run: Path, tmp_path: Path) -> None:
    runs_dir = run.parents[1]
    with pytest.raises(UserError, match=f"did you mean {run.name}"):
        find(run.name[:-2] + "zz", runs_dir)
    with pytest.raises(UserError, match=f"of 1 finished runs below .* the newest is run={run}"):
        find("x", runs_dir)
    with pytest.raises(UserError, match=f"is not the folder of a run .*run={run}"):
        find(str(runs_dir), Path("runs"))
    with pytest.raises(UserError, match="trains one"):
        find("x" * 5000, tmp_path / "empty")
    shutil.copytree(run, runs_dir / "other" / run.name)
    with pytest.raises(UserError, match=r"in several experiments; give the path: .* or "):
        find(run.name, runs_dir)
