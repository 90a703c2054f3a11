"""Hold the checked config of one run: its settings, and the part chosen in each group. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from softlookup.config.settings import Identity, Settings, names
from softlookup.errors import UserError, quote

Node = Mapping[str, Any]
# Arguments that say where a task reads its data: paths, names of files, names on the hub. They are not part of a run's
# identity; the digests of the content, in `data`, are.
PLACES = frozenset({"path", "alignment", "silver"})
SPLITS = frozenset({"train", "validation", "test"})
# What `match` compares, in words.
UNITS = {"parameters": "parameters", "flops": "FLOPs", "state": "bytes of state"}
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
class Matched:
    """Record the widths that were solved so that a run costs what a reference costs.

    `cost` is what was matched (parameters, flops or state, the latter two at source length `length`), `to` the
    attention of the reference and `reference` its variant_key. `configured` has the widths of the config by key,
    `widths` the solved ones. `value` is the cost of the run, `target` that of the reference.
    """

    cost: str
    to: str
    reference: str
    length: int | None
    configured: Mapping[str, int]
    widths: Mapping[str, int]
    value: int
    target: int

    @property
    def residual(self) -> float:
        """Return the relative difference of the run's cost from that of the reference."""
        return self.value / self.target - 1

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Matched:
        """Read the values that `plain` returns."""
        return cls(**{one.name: values[one.name] for one in fields(cls)})

    def __str__(self) -> str:
        widths = " ".join(f"{key}={width}" for key, width in self.widths.items())
        figures = f"{self.value:,} to {self.target:,} {UNITS[self.cost]} of {self.to}"
        return f"{widths} ({figures}, {self.residual:+.2%})"

    def plain(self) -> dict[str, Any]:
        """Return plain values, for files."""
        return {
            **{name: dict(value) if isinstance(value, Mapping) else value for name, value in vars(self).items()},
            "residual": self.residual,
        }


@dataclass(frozen=True)
class RunConfig:
    """Hold the whole config of a run.

    `parts` has, for each group that a run reads directly, the description of what is built: `_target_` and arguments.
    `choices` has the name chosen in each group, and every value that was changed; `tuned` lists the keys whose values
    came from an experiment's table. `data` has the SHA-256 of all data that is read, by name.

    With `match`, `reference` is the config of the run whose cost is to be reached, until the widths are solved; then
    `matched` records them. They are part of the identity as any other width is, and nothing else of the match is.
    """

    settings: Settings
    parts: Mapping[str, Node]
    tracking: Node
    choices: Mapping[str, Any]
    tuned: tuple[str, ...] = ()
    data: Mapping[str, str] = field(default_factory=dict)
    continued: Continued | None = None
    reference: RunConfig | None = None
    matched: Matched | None = None

    @property
    def experiment(self) -> Path:
        """Return the folder of the experiment, which contains its runs."""
        return Path(self.settings.runs_dir) / self.settings.experiment_name

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> RunConfig:
        """Read the values that `plain` returns, as from a config.yaml. Raises UserError for anything else."""
        other = {"tracking", "choices", "tuned", "data", "continued", "matched", *names()}
        parts = {key: value for key, value in values.items() if key not in other}
        for key, value in [*parts.items(), ("tracking", values.get("tracking"))]:
            if not isinstance(value, Mapping) or "_target_" not in value:
                raise UserError(f"{quote(key)}={quote(value)}: expected a choice (a part with a _target_)")
        before, matched = values.get("continued"), values.get("matched")
        return cls(
            Settings.of(values),
            parts,
            values["tracking"],
            values["choices"],
            tuple(values.get("tuned", ())),
            values.get("data", {}),
            None if before is None else Continued.of(before),
            matched=None if matched is None else Matched.of(matched),
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
            **({} if self.matched is None else {"matched": self.matched.plain()}),
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
