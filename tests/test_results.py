"""What is known of a run that did not finish, from the little that it left."""

import json
from pathlib import Path

import yaml

from softlookup import results


def test_a_failed_run_outside_a_plan_keeps_its_task_variant_and_seed(tmp_path: Path) -> None:
    for seed, state in ((3, "failed"), (5, "finished")):
        folder = tmp_path / "single" / f"additive-s{seed}"
        folder.mkdir(parents=True)
        config = {"choices": {"task": "reverse", "attention": "additive", "budget": 7 * seed}, "seed": seed}
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        (folder / "state.json").write_text(json.dumps({"state": state, "reason": "killed by signal 9"}))
        row = {"id": folder.name, "status": "finished", "metrics": {}, "cost": {}, **config}
        if state == "finished":
            (folder / "result.json").write_text(json.dumps(row))
    rows = results.read(tmp_path).set_index("seed")
    assert rows.loc[3, ["task", "variant", "status"]].tolist() == ["reverse", "budget=21", "failed"]
    assert rows.loc[5, ["task", "variant", "status"]].tolist() == ["reverse", "budget=35", "finished"]
