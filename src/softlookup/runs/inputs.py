"""Complete a resolved config with the digests of its data and with what it inherits from another run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from softlookup.config.components import located
from softlookup.config.run_config import RunConfig
from softlookup.errors import UserError
from softlookup.runs import lineage
from softlookup.runs.precision import with_precision


def with_inputs(config: RunConfig, typed: Iterable[str]) -> RunConfig:
    """Return a resolved config with the SHA-256 of all data that its task reads, by name, and of its initial weights.

    Reads all of the data, and resolves `init_from` and `continue_from`; `typed` are the keys of the command line.
    Raises UserError for data that cannot be read, and for a run that cannot be started from or continued.
    """
    whole = with_precision(lineage.inherited(config, typed))
    described = whole.parts["task"]
    task = located("task", described["_target_"], "task")
    data = task.digests(described) | lineage.initial_digests(whole)  # type: ignore[attr-defined]
    if whole.data and dict(whole.data) != data:
        changed = sorted(name for name in data.keys() | whole.data.keys() if data.get(name) != whole.data.get(name))
        raise UserError(
            f"continue_from={whole.settings.continue_from}: {', '.join(changed)} is not what that run was trained on; "
            f"restore the data (task={whole.choices['task']} task.path=DIR says where it is now), or start a new "
            "run with init_from"
        )
    reference = None if whole.reference is None else with_inputs(whole.reference, typed)
    return replace(whole, data=data, reference=reference)
