"""The command that a W&B agent runs for experiments/wandb_sweep.yaml."""

import json
import subprocess
import sys
from pathlib import Path

import yaml
from wandb_server import clean_environment, serving

from softlookup.config.resolve import composed
from softlookup.config.run_config import RunConfig
from softlookup.runs.run_folder import RunFolder
from softlookup.runs.tracked import tracked
from softlookup.tracking.wandb_tracker import JOB_TYPE

ROOT = Path(__file__).parents[1]
SWEEP = yaml.safe_load((ROOT / "experiments" / "wandb_sweep.yaml").read_text(encoding="utf-8"))
TINY = ["budget=900", "batch_tokens=100", "validations=3", "encoder.width=8", "decoder.width=16", "device=cpu"]


def sample() -> dict[str, object]:
    """Return a value of each parameter: its last value, or the maximum of its range."""
    return {name: p["values"][-1] if "values" in p else p["max"] for name, p in SWEEP["parameters"].items()}


def typed(parameters: dict[str, object]) -> list[str]:
    """Return the command as W&B's documentation expands it: ${env} is /usr/bin/env, ${interpreter} python, …"""
    arguments = [f"{name}={value}" for name, value in parameters.items()]
    words = {
        "${env}": ["/usr/bin/env"], "${interpreter}": ["python"], "${program}": [SWEEP["program"]],
        "${args_no_hyphens}": arguments,
    }  # fmt: skip
    return [word for part in SWEEP["command"] for word in words.get(part, [part])]


def test_an_agents_run_is_one_run_of_the_entry_point_in_the_grouping_of_any_sweep(tmp_path: Path) -> None:
    # Later arguments override earlier ones: this run is small.
    command = [*typed(sample()), f"runs_dir={tmp_path / 'runs'}", *TINY]
    # What an agent writes for its run; wandb lets it win over the run's own config, where `attention` is a part.
    parameters = tmp_path / "config-r7x8y9.yaml"
    given = {name: {"value": value} for name, value in sample().items()}
    parameters.write_text(yaml.safe_dump({"wandb_version": 1, **given}), encoding="utf-8")
    agents = {"WANDB_SWEEP_ID": "s1a2b3", "WANDB_RUN_ID": "r7x8y9", "WANDB_PROJECT": "other", "WANDB_MODE": ""}
    agents["WANDB_SWEEP_PARAM_PATH"] = str(parameters)
    with serving() as server:
        environment = clean_environment(tmp_path, **agents, **server.environment)
        environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300
        )
    assert (done.returncode, done.stderr) == (0, "")
    (path,) = (tmp_path / "runs" / "wandb_sweep").glob("*/result.json")
    row = json.loads(path.read_text(encoding="utf-8"))
    assert row["choices"]["attention"] == sample()["attention"]
    assert row["seed"] == sample()["seed"]
    run = server.runs["r7x8y9"]  # the run ID that the agent expects
    assert run.steps == [record["step"] for record in RunFolder(path.parent).records()]
    assert all(SWEEP["metric"]["name"] in point for point in run.points)
    config = RunConfig.of(yaml.safe_load((path.parent / "config.yaml").read_text(encoding="utf-8")))
    ours = tracked(config, RunFolder(path.parent), row["provenance"])
    assert (run.about["groupName"], run.about["jobType"]) == (ours["group"], JOB_TYPE) == ("wandb_sweep", "train")
    assert run.about["tags"] == ours["tags"]
    shared = ("choices", "variant", "folder", "commit", "dirty", "seed")
    assert {name: run.config[name] for name in shared} == {name: ours["values"][name] for name in shared}


def test_every_value_of_every_parameter_is_valid() -> None:
    for name, parameter in SWEEP["parameters"].items():
        for value in parameter.get("values", [parameter.get("min"), parameter.get("max")]):
            composed([f"{name}={value}", "experiment_name=wandb_sweep", "tracking=online"])
