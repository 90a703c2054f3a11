"""Run ids, run folders and plans."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import fake_jobs
import numpy as np
import pytest
import torch
import yaml
from configs import CHOICES, changed, of_parts

from softlookup.config.run_config import RunConfig
from softlookup.errors import Stopped, UserError
from softlookup.runs.experiment_plan import write_plan
from softlookup.runs.run_folder import RunFolder
from softlookup.runs.run_id import VERSION, run_id
from softlookup.runs.run_state import state_of
from softlookup.system import lock


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "runs" / "tried" / "additive-gru-reverse-s3-abc123")


def test_the_id_names_the_parts_and_the_seed(tmp_path: Path) -> None:
    stem, digest = run_id(fake_jobs.config(tmp_path, 3)).rsplit("-", 1)
    assert stem == "additive-gru-reverse-s3"
    assert len(digest) >= 6
    assert set(digest) <= set("0123456789abcdef")


@pytest.mark.parametrize(
    "change",
    [
        {"runs_dir": "/elsewhere"}, {"experiment_name": "other"}, {"workers": 7}, {"threads": 3}, {"device": "cuda"},
        {"debug": True}, {"memory": 7}, {"checkpoint_seconds": 7}, {"keep_state": True}, {"init_from": "elsewhere"},
    ],
    ids=str,
)  # fmt: skip
def test_where_and_how_a_run_is_done_is_not_in_its_id(tmp_path: Path, change: dict) -> None:
    config = fake_jobs.config(tmp_path, 3)
    assert run_id(changed(config, **change)) == run_id(config)


def test_tracking_tables_and_names_of_choices_are_not_in_the_id(tmp_path: Path) -> None:
    config = fake_jobs.config(tmp_path, 3)
    other = {"tracking": {"mode": "online"}, "tuned": ("optimizer.rate",), "choices": {**CHOICES, "attention.heads": 1}}
    for key, value in other.items():
        assert run_id(replace(config, **{key: value})) == run_id(config)


@pytest.mark.parametrize("change", [{"budget": 1001}, {"seed": 4}, {"tying": "all"}], ids=str)
def test_what_a_run_computes_is_in_its_id(tmp_path: Path, change: dict) -> None:
    config = fake_jobs.config(tmp_path, 3)
    assert run_id(changed(config, **change)) != run_id(config)


def test_its_parts_and_its_data_are_in_its_id(tmp_path: Path) -> None:
    made = [
        fake_jobs.config(tmp_path, 3, {"task": {"longest": 16}}),
        fake_jobs.config(tmp_path, 3, {"task": {"longest": 17}}),
        fake_jobs.config(tmp_path, 3, {"task": {"longest": 16}, "optimizer": {}}),
    ]
    made.append(replace(made[0], data={"train": "0"}))
    assert len({run_id(config) for config in made}) == 4


def test_the_order_of_keys_is_not_in_the_id(tmp_path: Path) -> None:
    config = fake_jobs.config(tmp_path, 3, {"encoder": {"width": 64, "layers": 2}, "task": {}})
    turned = fake_jobs.config(tmp_path, 3, {"task": {}, "encoder": {"layers": 2, "width": 64}})
    assert run_id(turned) == run_id(config)


def test_a_choice_with_a_path_in_it_stays_one_folder(tmp_path: Path) -> None:
    config = fake_jobs.config(tmp_path, 3)
    config = replace(config, choices={**config.choices, "attention": "../x/y"})
    assert RunFolder.of(config).path.parent == tmp_path / "tried"


def test_a_run_is_finished_by_its_state_and_its_own_result(folder: RunFolder) -> None:
    assert folder.result() is None
    row = {"id": folder.id, "metrics": {"test/bleu": None}}
    folder.write_result(row)
    assert folder.result() is None  # whatever follows the row was not done
    assert folder.finish()
    assert folder.result() == row
    folder.set_state("failed", "why")
    assert folder.result() is None
    assert (folder.state(), folder.reason()) == ("failed", "why")


@pytest.mark.parametrize("content", ["", '{"id": "addi', "[1]", "null", '{"id": "another-run"}'])
def test_a_result_that_is_torn_or_of_another_run_is_none(folder: RunFolder, content: str) -> None:
    folder.set_state("finished")
    (folder.path / "result.json").write_text(content)
    assert folder.result() is None
    assert not folder.finish()


@pytest.mark.parametrize("content", ["", "{", '{"state": "sleeping"}', '{"state": ["failed"]}'])
def test_a_state_that_cannot_be_read_is_none(folder: RunFolder, content: str) -> None:
    folder.path.mkdir(parents=True)
    (folder.path / "state.json").write_text(content)
    assert folder.state() is None


def test_logged_records_are_json_for_every_reader(folder: RunFolder) -> None:
    assert folder.last_record() == {}
    folder.log({"step": 1, "train/loss": float("nan"), "rate": float("-inf"), "note": "schläft"})
    folder.log({"step": 2, "train/loss": 0.5})
    with folder.metrics_path.open("a") as file:
        file.write('{"step": 3, "tra')  # a run killed while it wrote
    lines = folder.metrics_path.read_text(encoding="utf-8").split("\n")
    assert json.loads(lines[0]) == {"step": 1, "train/loss": None, "rate": None, "note": "schläft"}
    assert folder.last_record() == {"step": 2, "train/loss": 0.5}


def test_a_result_with_a_number_that_is_none_diverged(folder: RunFolder) -> None:
    row = {"id": folder.id, "by_length": [{"low": 1, "bleu": 3.0}, {"low": 2, "bleu": float("inf")}]}
    with pytest.raises(FloatingPointError, match=r"by_length\.1\.bleu"):
        folder.write_result(row)
    assert not (folder.path / "result.json").exists()


def test_an_attempt_without_a_checkpoint_begins_with_nothing_but_the_log(folder: RunFolder) -> None:
    folder.log({"step": 1})
    folder.set_state("failed", "why")
    folder.write_alignments({"weights_0": np.ones((2, 3))})
    folder.write_result({"id": folder.id})
    (folder.path / "wandb").mkdir()
    (folder.path / ".result.json.4711").write_text("left by a kill")
    folder.log_path.write_text("first attempt")
    folder.begin(of_parts({}, seed=3))
    assert sorted(path.name for path in folder.path.iterdir()) == ["config.yaml", "log.txt"]


def test_an_attempt_with_a_checkpoint_keeps_what_it_goes_on_from(folder: RunFolder) -> None:
    folder.log({"step": 1})
    folder.write_result({"id": folder.id})
    folder.manifest_path.write_text("[]")
    folder.checkpoints.mkdir()
    (folder.checkpoints / ".step-9.pt.4711").write_text("left by a kill in a save")
    folder.begin(of_parts({}, seed=3))
    assert list(folder.checkpoints.iterdir()) == []
    kept = ["checkpoints", "checkpoints.json", "config.yaml", "metrics.jsonl"]
    assert sorted(path.name for path in folder.path.iterdir()) == kept


def test_records_are_cut_back_to_a_checkpoint(folder: RunFolder) -> None:
    for step in (1, 2, 3):
        folder.log({"step": step})
    folder.metrics_path.write_bytes(folder.metrics_path.read_bytes() + b'{"step": 4, "tr')
    assert folder.rewind(2) == [{"step": 1}, {"step": 2}]
    folder.log({"step": 3, "again": 1})
    assert folder.records() == [{"step": 1}, {"step": 2}, {"step": 3, "again": 1}]
    with pytest.raises(UserError, match="has 3 whole records, and the checkpoint was made after 4"):
        folder.rewind(4)


def test_a_second_writer_is_noticed(folder: RunFolder) -> None:
    other = RunFolder(folder.path)
    folder.log({"step": 1})
    other.log({"step": 1})
    with pytest.raises(RuntimeError, match="another process writes to it"):
        folder.log({"step": 2})


def test_a_folder_that_was_deleted_is_noticed(folder: RunFolder) -> None:
    folder.log({"step": 1})
    shutil.rmtree(folder.path)
    with pytest.raises(FileNotFoundError):
        folder.log({"step": 2})
    assert not folder.path.exists()


def test_a_run_whose_process_is_gone_is_preempted_and_one_that_is_held_runs(folder: RunFolder) -> None:
    folder.set_state("running")
    assert folder.status()[0] == "preempted"
    for place in (folder.path, folder.path.parent):
        with lock.hold(place):
            assert folder.status() == ("running", None)
    folder.set_state("failed", "why")
    assert folder.status() == ("failed", "why")


def test_files_are_whole_and_alone(folder: RunFolder) -> None:
    config = of_parts({"attention": {"_target_": "x", "heads": None, "words": "schläft: [nicht]"}}, seed=3)
    folder.write_config(config)
    folder.write_alignments({})
    assert not (folder.path / "alignments.npz").exists()
    folder.write_alignments({"weights_0": np.eye(3), "source_0": np.array(["<b>", "ß"])})
    with np.load(folder.path / "alignments.npz", allow_pickle=False) as stored:
        assert stored["source_0"].tolist() == ["<b>", "ß"]
    assert RunConfig.of(yaml.safe_load((folder.path / "config.yaml").read_text(encoding="utf-8"))) == config
    assert sorted(path.name for path in folder.path.iterdir()) == ["alignments.npz", "config.yaml"]


def test_an_array_that_would_need_pickle_is_refused(folder: RunFolder) -> None:
    with pytest.raises(ValueError, match="allow_pickle"):
        folder.write_alignments({"source_0": np.array([{"a": 1}])})


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("two\n lines"), ("failed", "ValueError: two lines")),
        (AssertionError(), ("failed", "AssertionError")),
        (UserError("type: make sweep"), ("failed", "type: make sweep")),
        (FloatingPointError("the loss is nan"), ("diverged", "the loss is nan")),
        (KeyboardInterrupt(), ("preempted", "stopped by Ctrl-C")),
        (Stopped(15), ("preempted", "stopped by SIGTERM")),
        (OSError(28, "No space left on device", "/x/y"), ("failed", "/x/y: No space left on device")),
    ],
    ids=str,
)
def test_every_exception_has_its_state(error: BaseException, expected: tuple[str, str]) -> None:
    assert state_of(error) == expected


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("no room"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:129] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 7 bytes"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 7 GiB"),
    ],
    ids=str,
)
def test_memory_that_was_not_given_is_told_with_the_limit_and_the_peak(error: BaseException) -> None:
    state, reason = state_of(error, 1009)
    assert state == "out_of_memory"
    assert re.fullmatch(r".*; limit memory=1009 MB, peak [\d,]+ MB", reason)


def test_the_plan_is_that_of_the_last_sweep(tmp_path: Path) -> None:
    configs = [fake_jobs.config(tmp_path, seed) for seed in (1, 2, 3)]
    assert write_plan(configs) == 0
    assert write_plan(configs[1:]) == 1
    plan = json.loads((tmp_path / "tried" / "plan.json").read_text())
    assert [cell["id"] for cell in plan["planned"]] == [run_id(config) for config in configs[1:]]
    assert [cell["seed"] for cell in plan["planned"]] == [2, 3]
    assert (plan["version"], plan["experiment"]) == (VERSION, "tried")


def test_a_plan_tells_what_each_of_its_runs_is(tmp_path: Path) -> None:
    configs = [replace(fake_jobs.config(tmp_path, seed), tuned=("optimizer.rate",)) for seed in (1, 2)]
    write_plan([*configs, changed(configs[0], budget=7)])
    cells = json.loads((tmp_path / "tried" / "plan.json").read_text())["planned"]
    assert cells[0]["variant_key"] == cells[1]["variant_key"] != cells[2]["variant_key"]
    assert cells[0]["settings"] == cells[1]["settings"] != cells[2]["settings"]
    assert cells[2]["settings"]["budget"] == 7
    assert cells[0]["tuned"] == ["optimizer.rate"]
