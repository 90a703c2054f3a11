"""Compose and check the configs of Hydra's jobs as Hydra does, but faster."""

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

# Of Hydra's node, only runtime.choices is the same for all jobs that share a base.
_REFERS_TO_HYDRA = re.compile(r"\$\{hydra[.:](?!runtime\.choices\.)")

_CHOICE = re.compile(r"\$\{choices\.(\w+)\}")
_ENTRY = re.compile(r"\$\{tuned\.([\w.]+)\}")


@dataclass(frozen=True)
class PlannedRun:
    """Hold the config of one run, whether it comes from an experiment file, and the entry of its table `tuned` that
    holds the learning rate, as in `reverse.additive`; None if the rate is not taken from the table."""

    config: RunConfig
    planned: bool
    rate_entry: str | None = None


@dataclass(frozen=True)
class _Base:
    """Hold the composition that all jobs with the same choices share, and the part of it outside Hydra's node."""

    composed: DictConfig
    config: DictConfig
    shared: bool


def compose(loader: ConfigLoader, master: DictConfig, job_overrides: Sequence[Sequence[str]]) -> list[PlannedRun]:
    """Return all jobs of a sweep. Raises UserError for a mistake in any of them, or the error that Hydra raises for
    it."""
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
    """Compose jobs with a cache: reading and merging the files takes most of the time of a composition, and is done
    once for each combination of choices. For each job, only its plain values (`seed=3`) are set."""

    def __init__(self, loader: ConfigLoader, master: DictConfig) -> None:
        self.loader, self.master = loader, master
        self.offered = frozenset(groups())
        self.bases: dict[tuple[str, ...], _Base] = {}
        self.active: _Base | None = None
        # Keys without effect in some job, and keys with an effect in some job.
        self.idle: dict[str, UserError] = {}
        self.used: set[str] = set()

    def job(self, overrides: list[str]) -> PlannedRun:
        """Return one job. Overrides other than names of choices and plain values are composed by Hydra from the
        files."""
        values = [override for override in map(_parsed, overrides) if _sets_a_value(override, self.offered)]
        chosen = [given for given in overrides if not _sets_a_value(_parsed(given), self.offered)]
        base = self._base(chosen) if all(_chooses(_parsed(given), self.offered) for given in chosen) else None
        if base is None or not base.shared:
            base, values = self._composed(overrides), []
        config = copy.deepcopy(base.config)
        for override in values:
            OmegaConf.update(config, override.key_or_group, override.value(), merge=True)
        self._activate(base, overrides)
        entry = _rate_entry(config)
        idle: dict[str, UserError] = {}
        typed = [_parsed(override).key_or_group for override in overrides]
        run = with_inputs(resolve(config, idle), typed)
        self.used |= set(typed) - idle.keys()
        self.idle |= idle
        return PlannedRun(run, bool(base.composed.hydra.runtime.choices.get("experiment")), entry)

    def _base(self, chosen: list[str]) -> _Base:
        key = tuple(chosen)
        if key not in self.bases:
            self.bases[key] = self._composed(chosen)
        return self.bases[key]

    def _composed(self, overrides: list[str]) -> _Base:
        composed = self.loader.load_sweep_config(self.master, overrides)
        self.active = None
        config = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
        OmegaConf.set_struct(config, True)  # masked_copy drops the struct flag that Hydra sets
        HydraConfig.instance().set_config(composed)
        config.choices = OmegaConf.to_container(config.choices, resolve=True)
        return _Base(composed, config, not _REFERS_TO_HYDRA.search(OmegaConf.to_yaml(config)))

    def _activate(self, base: _Base, overrides: list[str]) -> None:
        """Make this composition, and the overrides of this job, visible to `${hydra:…}` and `resolve`."""
        if base is not self.active:
            HydraConfig.instance().set_config(base.composed)
            self.active = base
        hydra: Any = HydraConfig.get()
        with read_write(hydra):
            hydra.overrides.task = overrides


@cache
def _parsed(override: str) -> Override:
    return OverridesParser.create().parse_override(override)


def _sets_a_value(override: Override, offered: frozenset[str]) -> bool:
    """Return whether an override only changes an existing key outside Hydra's node, independently of other overrides
    and files."""
    plain = not (override.is_add() or override.is_force_add() or override.is_delete() or override.package)
    given = str(override.input_line)
    return plain and not override.is_hydra_override() and override.key_or_group not in offered and "hydra" not in given


def _chooses(override: Override, offered: frozenset[str]) -> bool:
    """Return whether an override selects a choice of a group by name."""
    return override.key_or_group in offered and isinstance(override.value(), str)


def _rate_entry(config: DictConfig) -> str | None:
    """Return the entry of the table `tuned` from which a composed config takes the learning rate, if it does."""
    node = OmegaConf.to_container(config.optimizer, resolve=False)
    assert isinstance(node, dict)
    text = _CHOICE.sub(lambda found: str(config.choices.get(found[1])), str(node.get("rate")))
    entry = _ENTRY.fullmatch(text)
    return entry[1] if entry else None
