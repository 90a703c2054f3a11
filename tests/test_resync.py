"""Lost or damaged W&B mirrors are rebuilt from the run folder."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from configs import of_parts
from wandb_server import Server, clean_environment, inspected, of_kind, points_of, serving, summary_of

from softlookup.runs.run_folder import RunFolder
from softlookup.tracking import wandb_files

RESYNC = Path(__file__).parents[1] / "src" / "resync.py"
STEPS = [7, 14, 21]
# What run.py does at the end of a run, on the folder that `finished_run` wrote.
UNDISTURBED = """
import json, sys
from pathlib import Path
import yaml
from softlookup.config.run_config import RunConfig
from softlookup.runs.tracked import tracked
from softlookup.runs.run_folder import RunFolder
from softlookup.analysis.load import alignments
from softlookup.tracking.wandb_tracker import Tracker
for path in sys.argv[1:]:
    folder = RunFolder(Path(path))
    config = RunConfig.of(yaml.safe_load((folder.path / "config.yaml").read_text()))
    tracker = Tracker("offline", "lookups")
    tracker.start(folder.path, **tracked(config, folder, folder.result()["provenance"]))
    for record in folder.records():
        tracker.log({k: v for k, v in record.items() if k != "step"}, record["step"])
    tracker.finish(folder.result(), alignments(folder.path))
assert tracker.messages == []
"""


CODE = {"commit": "1f9c2a0b57de", "dirty": True}


def finished_run(runs_dir: Path, seed: int, mode: str = "offline") -> RunFolder:
    folder = RunFolder(runs_dir / "tried" / f"additive-s{seed}")
    choices = {"task": "reverse", "attention": "additive", "encoder": "gru"}
    tracking = {"_target_": "softlookup.tracking.wandb_tracker.Tracker", "mode": mode, "project": "lookups"}
    config = replace(of_parts({}, seed=seed, experiment_name="tried"), choices=choices, tracking=tracking)
    folder.write_config(config)
    for step in STEPS:
        folder.log({"step": step, "validation/loss": step / seed, "validation/bleu": None})
    metrics = {"test/token_accuracy": 0.25 * seed, "test/bleu": None}
    row = {"id": folder.id, "status": "finished", "metrics": metrics, "by_length": [], "seed": seed}
    folder.write_result(row | {"provenance": CODE})
    words = np.array(["a", "b", "c"])
    arrays = {"source_0": words, "target_0": words, "reference_0": words}
    folder.write_alignments({"weights_0": np.eye(3), "gold_0": np.eye(3, dtype=bool), **arrays})
    assert folder.finish()
    return folder


def resync(runs_dir: Path, *arguments: str, server: Server | None = None) -> tuple[int, str]:
    environment = clean_environment(runs_dir.parent, **(server.environment if server else {}))
    command = [sys.executable, RESYNC, f"runs_dir={runs_dir}", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def without_pictures(points: list[dict]) -> list[dict]:
    return [{name: value for name, value in point.items() if not name.startswith("alignments/")} for point in points]


def test_lost_mirrors_are_rebuilt_equal_to_undisturbed_ones(tmp_path: Path) -> None:
    runs = [finished_run(tmp_path / "runs", seed) for seed in (1, 2, 3)]
    command = [sys.executable, "-c", UNDISTURBED, *(run.path for run in runs)]
    subprocess.run(command, env=clean_environment(tmp_path), check=True, timeout=60)
    before = [inspected(run.path) for run in runs]
    (kept,) = wandb_files.logs(runs[2].path)
    shutil.rmtree(runs[0].path / "wandb")
    (cut,) = wandb_files.logs(runs[1].path)
    cut.write_bytes(cut.read_bytes()[:-30])
    code, output = resync(tmp_path / "runs", "experiment=tried")
    assert code == 0
    assert "2/2 tried/additive-s2" in output
    assert "2 of 3 finished runs written again; 1 were complete" in output
    assert output.strip().endswith(f"wandb sync {tmp_path}/runs/tried/*/wandb/offline-run-*")
    assert wandb_files.logs(runs[2].path) == [kept]
    for run, logged in zip(runs, before, strict=True):
        again = inspected(run.path)
        assert points_of(again) == points_of(logged)
        assert [point["_step"] for point in points_of(again)] == STEPS
        assert summary_of(again) == summary_of(logged)
        assert summary_of(again)["test/token_accuracy"] == run.result()["metrics"]["test/token_accuracy"]  # type: ignore[index]
        (started,) = of_kind(again, "run")
        assert (started["project"], started["run_group"], started["tags"]) == (
            "lookups",
            "tried",
            ["task=reverse", "attention=additive", "encoder=gru"],
        )
        assert started["config"]["update"].items() >= {"folder": str(run.path), **CODE}.items()
        assert len(list(run.path.glob("wandb/**/alignments/*.png"))) == 1
    assert "0 of 3 finished runs written again; 3 were complete" in resync(tmp_path / "runs")[1]
    assert "3 of 3 finished runs written again" in resync(tmp_path / "runs", "all=true")[1]


def test_online_sends_only_what_the_server_lacks(tmp_path: Path) -> None:
    runs = [finished_run(tmp_path / "runs", seed) for seed in (1, 2)]
    with serving() as server:
        # The server has the first point of one run, from a killed attempt.
        part = RunFolder(tmp_path / "runs" / "tried" / "additive-s1")
        begun = UNDISTURBED.replace('"offline"', '"online"').replace("folder.records():", "folder.records()[:1]:")
        command = [sys.executable, "-c", begun.replace("tracker.finish(", "tracker.fail('killed');("), part.path]
        subprocess.run(command, env=clean_environment(tmp_path, **server.environment), check=True, timeout=60)
        assert server.runs["additive-s1"].steps == STEPS[:1]
        shutil.rmtree(part.path / "wandb")
        code, output = resync(tmp_path / "runs", "mode=online", server=server)
        assert (code, "2 of 2 finished runs sent to W&B" in output) == (0, True)
        for run, seed in zip(runs, (1, 2), strict=True):
            on_server = server.runs[run.id]
            assert without_pictures(on_server.points) == [
                {"_step": step, "validation/loss": step / seed} for step in STEPS
            ]
            assert on_server.summary["test/token_accuracy"] == 0.25 * seed
            assert on_server.exit_code == 0
        lines = server.lines
        assert (
            "0 of 2 finished runs sent to W&B; 2 were complete"
            in resync(tmp_path / "runs", "mode=online", server=server)[1]
        )
        assert server.lines == lines


def test_online_without_a_server_stops_at_the_first_run_and_leaves_it_offline(tmp_path: Path) -> None:
    runs = [finished_run(tmp_path / "runs", seed) for seed in (1, 2)]
    code, output = resync(tmp_path / "runs", "mode=online")
    assert code == 1
    assert "wandb login" in output
    assert "0 of 2 finished runs sent to W&B" in output
    assert [len(wandb_files.logs(run.path)) for run in runs] == [1, 0]


def test_a_run_that_had_tracking_disabled_gets_its_first_mirror(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "runs", 1, mode="disabled")
    assert wandb_files.logs(run.path) == []
    code, output = resync(tmp_path / "runs")
    assert (code, "1 of 1 finished runs written again" in output) == (0, True)
    assert [point["_step"] for point in points_of(inspected(run.path))] == STEPS
    assert "tracking=disabled" in resync(tmp_path, "--help")[1]


def test_unfinished_runs_are_skipped_and_an_unreadable_one_is_reported(tmp_path: Path) -> None:
    broken, unfinished = (finished_run(tmp_path / "runs", seed) for seed in (1, 2))
    (broken.path / "config.yaml").write_text("tracking: [")
    unfinished.set_state("running")
    code, output = resync(tmp_path / "runs")
    assert code == 1
    assert "cannot be read: ParserError" in output
    assert wandb_files.logs(unfinished.path) == []


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("experiment=trid", "did you mean tried"),
        ("mode=onlin", "online"),
        ("ruins_dir=x", "runs_dir"),
        ("all", "KEY=VALUE"),
    ],
)
def test_mistakes_are_reported_in_plain_text(tmp_path: Path, argument: str, message: str) -> None:
    path = tmp_path / "runs" / "tried" / "additive-s1"
    path.mkdir(parents=True)
    (path / "result.json").write_text(json.dumps({}))
    code, output = resync(tmp_path / "runs", argument)
    assert code == 2
    assert message in output
