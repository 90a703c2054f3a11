"""Describe a run to W&B: the same description for whatever starts or uploads it. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from softlookup.config.run_config import RunConfig
from softlookup.runs.run_folder import RunFolder
from softlookup.runs.run_id import variant_name


def tracked(config: RunConfig, folder: RunFolder, code: Mapping[str, Any]) -> dict[str, Any]:
    """Return id, group, tags and config of a run, as arguments of `Tracker.start`.

    The group is the experiment and the tags are the choices. The config also names the variant, by which W&B can group
    the seeds, the run's folder, and of its `code` (as in `provenance`) the commit and whether files differed from it.
    """
    links = {"folder": str(folder.path), "commit": code.get("commit"), "dirty": code.get("dirty")}
    return {
        "run_id": folder.id,
        "group": config.settings.experiment_name,
        "tags": [f"{group}={choice}" for group, choice in config.choices.items()],
        "values": config.plain() | {"variant": variant_name(config)} | links,
    }
