"""Complete a resolved config with what the run reads: digests of its data, and what it takes over from another run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from softlookup.config.components import located
from softlookup.config.run_config import RunConfig
from softlookup.errors import UserError
from softlookup.runs import lineage


def with_inputs(config: RunConfig, typed: Iterable[str]) -> RunConfig:
    """Add the SHA-256 of everything that the task of a resolved config reads, by name, and of the weights that it
    starts from. Reads all of it. `init_from` and `continue_from` are settled here; `typed` are the keys of the command
    line.

    Raises UserError for data that cannot be read, and for a run that nothing can be taken over from.
    """
    whole = lineage.inherited(config, typed)
    described = whole.parts["task"]
    task = located("task", described["_target_"], "task")
    data = task.digests(described) | lineage.taken_over(whole)  # type: ignore[attr-defined]
    if whole.data and dict(whole.data) != data:
        changed = sorted(name for name in data.keys() | whole.data.keys() if data.get(name) != whole.data.get(name))
        raise UserError(
            f"continue_from={whole.settings.continue_from}: {', '.join(changed)} is not what that run was trained on; "
            f"restore the data (task={whole.choices['task']} task.path=DIR says where it is now), or start a new "
            "run with init_from"
        )
    return replace(whole, data=data)
