"""From the overrides of Hydra's jobs to plain, checked configs: each as Hydra composes it, only sooner."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, read_write

from softlookup.config.catalog import groups
from softlookup.config.resolve import resolve
from softlookup.config.run_config import RunConfig
from softlookup.errors import UserError
from softlookup.runs.inputs import with_inputs

# Hydra's node holds what was chosen, the same for all jobs that share a base, and more, which is not.
_LOOKS_AT_HYDRA = re.compile(r"\$\{hydra[.:](?!runtime\.choices\.)")


@dataclass(frozen=True)
class PlannedRun:
    """The config of one run, and whether an experiment file asks for it."""

    config: RunConfig
    planned: bool


@dataclass(frozen=True)
class _Base:
    """Hold what all jobs with the same choices share: the whole composition, and the part of it that is ours."""

    composed: DictConfig
    own: DictConfig
    shared: bool


def compose(loader: ConfigLoader, master: DictConfig, job_overrides: Sequence[Sequence[str]]) -> list[PlannedRun]:
    """Return all jobs of a sweep. Raises UserError for a mistake in any of them, or what Hydra raises for it."""
    composer = _Composer(loader, master)
    before = HydraConfig.instance().cfg
    try:
        jobs = [composer.job(list(overrides)) for overrides in job_overrides]
    finally:
        HydraConfig.instance().cfg = before
    refused = [error for key, error in composer.idle.items() if key not in composer.used]
    if refused:
        raise refused[0]
    return jobs


class _Composer:
    """Reading and merging the files of the choices takes most of the time of a composition. It is done once for each
    combination of choices that occurs; what is left of a job is to set its plain values (`seed=3`)."""

    def __init__(self, loader: ConfigLoader, master: DictConfig) -> None:
        self.loader, self.master = loader, master
        self.offered = frozenset(groups())
        self.bases: dict[tuple[str, ...], _Base] = {}
        self.looked_at: _Base | None = None
        # Keys that did nothing in some job, and those that did something in one.
        self.idle: dict[str, UserError] = {}
        self.used: set[str] = set()

    def job(self, overrides: list[str]) -> PlannedRun:
        """Return one job. Anything but the name of a choice or a plain value takes Hydra's own way through the
        files."""
        values = [override for override in map(_parsed, overrides) if _sets_a_value(override, self.offered)]
        chosen = [given for given in overrides if not _sets_a_value(_parsed(given), self.offered)]
        base = self._base(chosen) if all(_chooses(_parsed(given), self.offered) for given in chosen) else None
        if base is None or not base.shared:
            base, values = self._composed(overrides), []
        own = copy.deepcopy(base.own)
        for override in values:
            OmegaConf.update(own, override.key_or_group, override.value(), merge=True)
        self._look_at(base, overrides)
        idle: dict[str, UserError] = {}
        typed = [_parsed(override).key_or_group for override in overrides]
        config = with_inputs(resolve(own, idle), typed)
        self.used |= set(typed) - idle.keys()
        self.idle |= idle
        return PlannedRun(config, bool(base.composed.hydra.runtime.choices.get("experiment")))

    def _base(self, chosen: list[str]) -> _Base:
        key = tuple(chosen)
        if key not in self.bases:
            self.bases[key] = self._composed(chosen)
        return self.bases[key]

    def _composed(self, overrides: list[str]) -> _Base:
        composed = self.loader.load_sweep_config(self.master, overrides)
        self.looked_at = None
        own = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
        OmegaConf.set_struct(own, True)  # a copy is open; Hydra's is not
        HydraConfig.instance().set_config(composed)
        own.choices = OmegaConf.to_container(own.choices, resolve=True)
        return _Base(composed, own, not _LOOKS_AT_HYDRA.search(OmegaConf.to_yaml(own)))

    def _look_at(self, base: _Base, overrides: list[str]) -> None:
        """Have `${hydra:…}` and `resolve` see this composition, and the overrides of this job."""
        if base is not self.looked_at:
            HydraConfig.instance().set_config(base.composed)
            self.looked_at = base
        hydra: Any = HydraConfig.get()
        with read_write(hydra):
            hydra.overrides.task = overrides


@cache
def _parsed(override: str) -> Override:
    return OverridesParser.create().parse_override(override)


def _sets_a_value(override: Override, offered: frozenset[str]) -> bool:
    """Changes a key that is there, below no Hydra: what it does depends on no other override and on no file."""
    plain = not (override.is_add() or override.is_force_add() or override.is_delete() or override.package)
    given = str(override.input_line)
    return plain and not override.is_hydra_override() and override.key_or_group not in offered and "hydra" not in given


def _chooses(override: Override, offered: frozenset[str]) -> bool:
    """Picks a choice of a group by its name."""
    return override.key_or_group in offered and isinstance(override.value(), str)
