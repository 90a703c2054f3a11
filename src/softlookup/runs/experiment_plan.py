"""Write the plan of an experiment: the runs that its means are over. No torch."""

from collections.abc import Sequence

from softlookup.config.run_config import RunConfig
from softlookup.runs.run_folder import RunFolder, json_of, object_at
from softlookup.runs.run_id import VERSION, run_id, settings, variant_key
from softlookup.system import atomic_files


def write_plan(configs: Sequence[RunConfig]) -> int:
    """Write plan.json for the configs of one experiment; how many runs of the plan before are no longer in it.

    The plan is what was last asked for under that name. It replaces the one before, since the two may differ in
    anything (budget, lengths), and means over both would compare unequals. Runs that left the plan keep their
    folders and stay visible; a sweep that asks for them again finds them finished.
    """
    folder = RunFolder.of(configs[0]).path.parent
    planned = [
        {
            "id": run_id(config),
            "choices": dict(config.choices),
            "seed": config.settings.seed,
            "variant_key": variant_key(config),
            "settings": settings(config),
            "tuned": list(config.tuned),
        }
        for config in configs
    ]
    cells = object_at(folder / "plan.json").get("planned")
    before = {str(cell.get("id")) for cell in cells if isinstance(cell, dict)} if isinstance(cells, list) else set()
    plan = {"version": VERSION, "experiment": configs[0].settings.experiment_name, "planned": planned}
    atomic_files.write(folder / "plan.json", json_of(plan))
    return len(before - {cell["id"] for cell in planned})
