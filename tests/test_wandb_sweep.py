"""The command that a W&B agent runs for experiments/wandb_sweep.yaml."""

import json
import subprocess
import sys
from pathlib import Path

import yaml
from wandb_server import clean_environment, inspected, points_of

from softlookup.config.resolve import composed
from softlookup.runs.run_folder import RunFolder

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


def test_the_command_is_one_run_of_the_entry_point(tmp_path: Path) -> None:
    # Later arguments override earlier ones: this test is offline and its run is small.
    command = [*typed(sample()), "tracking=offline", f"runs_dir={tmp_path / 'runs'}", *TINY]
    agents = {"WANDB_SWEEP_ID": "s1a2b3", "WANDB_RUN_ID": "r7x8y9", "WANDB_PROJECT": "other", "WANDB_MODE": ""}
    environment = clean_environment(tmp_path, **agents)
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    (path,) = (tmp_path / "runs" / "wandb_sweep").glob("*/result.json")
    row = json.loads(path.read_text(encoding="utf-8"))
    assert row["choices"]["attention"] == sample()["attention"]
    assert row["seed"] == sample()["seed"]
    points = points_of(inspected(path.parent))
    assert [point["_step"] for point in points] == [record["step"] for record in RunFolder(path.parent).records()]
    assert all(SWEEP["metric"]["name"] in point for point in points)
    (mirrored,) = path.parent.glob("wandb/offline-run-*")
    assert mirrored.name.endswith("-r7x8y9")  # the run ID that the agent expects


def test_every_value_of_every_parameter_is_valid() -> None:
    for name, parameter in SWEEP["parameters"].items():
        for value in parameter.get("values", [parameter.get("min"), parameter.get("max")]):
            composed([f"{name}={value}", "experiment_name=wandb_sweep", "tracking=online"])
