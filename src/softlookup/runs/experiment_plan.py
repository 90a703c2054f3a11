"""Write the plan of an experiment: the runs that its means are computed over. No torch."""

from collections.abc import Sequence

from softlookup.config.run_config import RunConfig
from softlookup.runs.run_folder import RunFolder, json_of, object_at
from softlookup.runs.run_id import VERSION, run_id, settings, variant_key
from softlookup.system import atomic_files


def write_plan(configs: Sequence[RunConfig]) -> int:
    """Write plan.json for the configs of one experiment; return the number of runs that the previous plan had and this
    one has not.

    The plan holds the runs of the last sweep with this experiment name. It replaces the previous plan: the two may
    differ in any setting (budget, lengths), so a mean over both would mix different variants. Runs that leave the plan
    keep their folders and stay visible; a sweep that includes them again finds them finished.
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
            **({} if config.matched is None else {"matched": config.matched.plain()}),
        }
        for config in configs
    ]
    cells = object_at(folder / "plan.json").get("planned")
    before = {str(cell.get("id")) for cell in cells if isinstance(cell, dict)} if isinstance(cells, list) else set()
    plan = {"version": VERSION, "experiment": configs[0].settings.experiment_name, "planned": planned}
    atomic_files.write(folder / "plan.json", json_of(plan))
    return len(before - {cell["id"] for cell in planned})
