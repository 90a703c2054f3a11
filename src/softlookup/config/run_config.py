"""Hold the checked config of one run: its settings, and the part chosen in each group. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from softlookup.config.settings import Identity, Settings, names
from softlookup.errors import UserError, quote

Node = Mapping[str, Any]
# Arguments that say where a task reads its data: paths, names of files, names on the hub. They are not part of a run's
# identity; the digests of the content, in `data`, are.
PLACES = frozenset({"path", "alignment", "silver"})
SPLITS = frozenset({"train", "validation", "test"})
LOCATIONS = PLACES | SPLITS | {"dataset", "columns"}


@dataclass(frozen=True)
class Continued:
    """Hold the budget and validations of the run that a run continues, and recursively of the run that it continued.

    They distinguish a continued run from one that had the larger budget from the start.
    """

    budget: int
    validations: int
    continued: Continued | None = None

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Continued:
        """Read the values that `plain` returns."""
        before = values.get("continued")
        return cls(values["budget"], values["validations"], None if before is None else cls.of(before))

    def plain(self) -> dict[str, Any]:
        """Return plain values, for files and hashes."""
        before = {} if self.continued is None else {"continued": self.continued.plain()}
        return {"budget": self.budget, "validations": self.validations, **before}


@dataclass(frozen=True)
class RunConfig:
    """Hold the whole config of a run.

    `parts` has, for each group that a run reads directly, the description of what is built: `_target_` and arguments.
    `choices` has the name chosen in each group, and every value that was changed; `tuned` lists the keys whose values
    came from an experiment's table. `data` has the SHA-256 of all data that is read, by name.
    """

    settings: Settings
    parts: Mapping[str, Node]
    tracking: Node
    choices: Mapping[str, Any]
    tuned: tuple[str, ...] = ()
    data: Mapping[str, str] = field(default_factory=dict)
    continued: Continued | None = None

    @property
    def experiment(self) -> Path:
        """Return the folder of the experiment, which contains its runs."""
        return Path(self.settings.runs_dir) / self.settings.experiment_name

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> RunConfig:
        """Read the values that `plain` returns, as from a config.yaml. Raises UserError for anything else."""
        other = {"tracking", "choices", "tuned", "data", "continued", *names()}
        parts = {key: value for key, value in values.items() if key not in other}
        for key, value in [*parts.items(), ("tracking", values.get("tracking"))]:
            if not isinstance(value, Mapping) or "_target_" not in value:
                raise UserError(f"{quote(key)}={quote(value)}: expected a choice (a part with a _target_)")
        before = values.get("continued")
        return cls(
            Settings.of(values),
            parts,
            values["tracking"],
            values["choices"],
            tuple(values.get("tuned", ())),
            values.get("data", {}),
            None if before is None else Continued.of(before),
        )

    def plain(self) -> dict[str, Any]:
        """Return plain values, for config.yaml and for W&B."""
        return {
            **self.settings.plain(),
            **self.parts,
            "tracking": self.tracking,
            "choices": dict(self.choices),
            "tuned": list(self.tuned),
            "data": dict(self.data),
            **({} if self.continued is None else {"continued": self.continued.plain()}),
        }

    def identity(self) -> dict[str, Any]:
        """Return the values that identify the run. Two runs that share them have the same result."""
        task = {key: value for key, value in self.parts["task"].items() if key not in LOCATIONS}
        return {
            **self.settings.plain(Identity.VARIANT, Identity.REPEAT),
            **self.parts,
            "task": task,
            **({"data": dict(self.data)} if self.data else {}),
            **({} if self.continued is None else {"continued": self.continued.plain()}),
        }
