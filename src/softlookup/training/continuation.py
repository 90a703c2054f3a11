"""Continue a finished run under a larger budget: keep the state that this needs, and restore it.

The last pool of batches of a run is drawn for the end of its budget. Therefore the state before that pool is kept, and
the pool is drawn again: from there on, the continued run equals one that had the larger budget from the start, as far
as nothing else depends on the budget.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from softlookup.config.run_config import RunConfig
from softlookup.config.settings import Settings
from softlookup.contract import Curriculum
from softlookup.errors import UserError
from softlookup.runs.finished_run import STATE, finished, read_verified
from softlookup.runs.lineage import same_cadence
from softlookup.system import atomic_files
from softlookup.training.checkpoints import plain, serialized
from softlookup.training.module import Training

Content = dict[str, Any]


class KeptState:
    """Keep the state of a run before its last pool of batches, and write it to a file.

    Which state that is may be known only a step later, when the next pool was drawn: a candidate is held in memory
    until then. With `on` false nothing is kept.
    """

    def __init__(self, folder: Path, on: bool) -> None:
        self.path = folder / STATE
        self.on = on
        self._held: tuple[int, bytes] | None = None

    def hold(self, step: int, content: Content) -> None:
        """Hold the state after `step` steps in memory."""
        if self.on:
            self._held = step, serialized(content)

    def observe(self, step: int, paused: bool, lasting: int | None, content: Callable[[], Content]) -> None:
        """Consider the state at a safe point, between two steps; write the held state once it is known to be the one to
        keep.

        `paused` says that the next batches were not drawn yet; `lasting` is the step whose state is to be kept, if
        known.
        """
        if self.on and (step == lasting or (lasting is None and paused)):
            self.hold(step, content())
        if self._held is not None and self._held[0] == lasting:
            atomic_files.write(self.path, self._held[1])
            self._held = None

    def row(self, lasting: int | None) -> dict[str, Any] | None:
        """Return the step of the kept state; None if none was kept."""
        return {"step": lasting} if self.on and (lasting == 0 or self.path.exists()) else None

    def files(self) -> list[dict[str, Any]]:
        """Return the row with file, bytes and SHA-256 of the state, if it was written."""
        if not self.path.exists():
            return []
        data = self.path.read_bytes()
        return [{"file": STATE, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}]


def check(config: RunConfig, training: Training, curriculum: Curriculum) -> None:
    """Raise UserError for a run that cannot be continued under a larger budget, since with that budget it would have
    differed from its first steps on."""
    for key, part, other in (("schedule", training.plan.schedule, "constant"), ("curriculum", curriculum, "fixed")):
        if part.follows_budget:
            raise UserError(
                f"keep_state=true keeps the state for continue_from, but {key}={config.choices.get(key)} "
                "follows the share of the budget: with a larger one the first steps would differ; set "
                f"{key}={other}, or leave keep_state out (init_from starts a new run from the weights)"
            )


def differences(config: RunConfig) -> list[str]:
    """Describe how a continued run differs from one that had the larger budget from the start, and why."""
    before, now = config.continued, config.settings
    if before is None or same_cadence(config):
        return []
    affected = [key for key, value in (("keep", now.keep), ("patience", now.patience)) if value not in ("last", None)]
    first, rest = (f"budget={each.budget} (validations={each.validations})" for each in (before, now))
    message = f"validations: the first part was measured at shares of {first}, the rest at those of {rest}"
    return [message + (f"; {' and '.join(affected)} saw other validations" if affected else "")]


def load_state(path: Path) -> Content | None:
    """Load the state that a run continues from; None if the other run was too short to keep any.

    Raises UserError for a file that is missing or changed.
    """
    _, row = finished(path)
    if row["state"]["step"] == 0:
        return None
    return plain(path / STATE, read_verified(path, row, STATE)[STATE])


def records(run: Path, content: Content) -> bytes:
    """Return the records of metrics.jsonl that precede a state. Raises UserError if they were changed."""
    path = run / "metrics.jsonl"
    lines = path.read_bytes().split(b"\n")[: content["records"]] if path.exists() else []
    kept = b"".join(line + b"\n" for line in lines) if content["records"] else b""
    if hashlib.sha256(kept).hexdigest() != content["digest"]:
        raise UserError(f"{path} was changed after the state of its run was kept; restore it")
    return kept


def reset_average(settings: Settings, training: Training) -> None:
    """Restart the average of the last weights. Raises UserError if some weights that belong to it precede the state."""
    if training.cadence.passed(training.tokens) > training.average.first:
        raise UserError(
            f"average={settings.average}: the first of the last {settings.average} of validations="
            f"{settings.validations} lies in the part that is already trained; give a larger budget"
        )
    training.average.load_state_dict({"count": 0, "sum": {}})


def row(config: RunConfig) -> dict[str, Any]:
    """Return which run was continued, its budget in tokens, and how the result differs from that of an uninterrupted
    run."""
    if config.continued is None:
        return {}
    run = Path(str(config.settings.continue_from)).name
    differs = differences(config)
    return {"continued": {"run": run, "budget": config.continued.budget, "differs": differs}}
