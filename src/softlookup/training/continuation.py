"""Continue a finished run under a larger budget: keep the state that this needs, and restore it.

A run's last pool of batches is drawn with the end of the budget in view. What is kept is therefore the moment ahead of
it, and the pool is drawn anew: from there on the run is the one that was asked for the larger budget at once, as far as
nothing else depends on the budget.
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
    """The state of a run at the last moment that nothing of its end has touched, written once that moment is known.

    It is known when the pool behind it was drawn, which may be a step later: what may turn out to be it is held until
    then. With `on` false nothing is kept.
    """

    def __init__(self, folder: Path, on: bool) -> None:
        self.path = folder / STATE
        self.on = on
        self._held: tuple[int, bytes] | None = None

    def hold(self, step: int, content: Content) -> None:
        """Hold the state behind so many steps."""
        if self.on:
            self._held = step, serialized(content)

    def hear(self, step: int, paused: bool, lasting: int | None, content: Callable[[], Content]) -> None:
        """Hear of a moment at which nothing is half done; `paused` says that the batches behind it were not drawn yet,
        `lasting` is the number of steps of the moment to keep, where it is known."""
        if self.on and (step == lasting or (lasting is None and paused)):
            self.hold(step, content())
        if self._held is not None and self._held[0] == lasting:
            atomic_files.write(self.path, self._held[1])
            self._held = None

    def row(self, lasting: int | None) -> dict[str, Any] | None:
        """Return at which step the state was kept; None where none was."""
        return {"step": lasting} if self.on and (lasting == 0 or self.path.exists()) else None

    def files(self) -> list[dict[str, Any]]:
        """Return the row that vouches for the file, if there is one."""
        if not self.path.exists():
            return []
        data = self.path.read_bytes()
        return [{"file": STATE, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}]


def check(config: RunConfig, training: Training, curriculum: Curriculum) -> None:
    """Raise UserError for a run that no run of a larger budget can go on with: asked for that budget at once, it would
    have been another from its first steps on."""
    for key, part, other in (("schedule", training.plan.schedule, "constant"), ("curriculum", curriculum, "fixed")):
        if part.follows_budget:
            raise UserError(
                f"keep_state=true keeps what continue_from goes on from, but {key}={config.choices.get(key)} "
                "follows the share of the budget: with a larger one the first steps would have been others; set "
                f"{key}={other}, or leave keep_state out (init_from starts a new run from the weights)"
            )


def differences(config: RunConfig) -> list[str]:
    """Tell in what a run that went on differs from one that was asked for all of it at once, and why."""
    before, own = config.continued, config.settings
    if before is None or same_cadence(config):
        return []
    heard = [key for key, value in (("keep", own.keep), ("patience", own.patience)) if value not in ("last", None)]
    first, rest = (f"budget={each.budget} (validations={each.validations})" for each in (before, own))
    told = f"validations: the first part was measured at shares of {first}, the rest at those of {rest}"
    return [told + (f"; {' and '.join(heard)} heard other validations" if heard else "")]


def taken_up(path: Path) -> Content | None:
    """Return the state that a run goes on from; None where the other one was too short to keep any.

    Raises UserError for a file that is missing or not as it was.
    """
    _, row = finished(path)
    if row["state"]["step"] == 0:
        return None
    return plain(path / STATE, read_verified(path, row, STATE)[STATE])


def records(run: Path, content: Content) -> bytes:
    """Return the records of metrics.jsonl that a state counts on. Raises UserError where they have changed."""
    path = run / "metrics.jsonl"
    lines = path.read_bytes().split(b"\n")[: content["records"]] if path.exists() else []
    kept = b"".join(line + b"\n" for line in lines) if content["records"] else b""
    if hashlib.sha256(kept).hexdigest() != content["digest"]:
        raise UserError(f"{path} is not as it was when the state of its run was kept; restore it")
    return kept


def reset_average(settings: Settings, training: Training) -> None:
    """Begin the mean of the last weights anew. Raises UserError where some that belong to it lie behind."""
    if training.cadence.passed(training.tokens) > training.average.first:
        raise UserError(
            f"average={settings.average}: the first of the last {settings.average} of validations="
            f"{settings.validations} lies in the part that is trained already; give a larger budget"
        )
    training.average.load_state_dict({"count": 0, "sum": {}})
