"""Resolve `init_from` and `continue_from`: what a run takes over from a finished one. No torch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from softlookup.config.run_config import LOCATIONS, Continued, RunConfig
from softlookup.config.settings import Identity, Settings, names
from softlookup.errors import UserError
from softlookup.errors import typed as quoted
from softlookup.runs.finished_run import STATE, VOCABULARIES, WEIGHTS, find, finished
from softlookup.runs.run_id import flat

# What a continued run has of its own, besides where and how it runs.
LONGER = frozenset({"budget", "validations", "continued"})
# What says which weights a model has.
_DRAWN = ("encoder", "attention", "decoder")


def inherited(config: RunConfig, typed: Iterable[str]) -> RunConfig:
    """Return a resolved config with what `init_from` or `continue_from` makes of it; `typed` are the keys of the
    command line.

    Both become absolute paths. A run that starts from another keeps its vocabularies, so it has no segmentation of its
    own. A continued run has the config of the other one, with a larger budget; its `continued` holds the budget and the
    validations of the other run, which is all that tells the two apart.

    Raises UserError for a run that is not there, not finished or of other code, for keys that do nothing here, and for
    one that cannot be continued.
    """
    if config.settings.init_from is not None and config.settings.continue_from is not None:
        raise UserError("init_from starts a new run and continue_from goes on with an old one; give one of them")
    if config.settings.continue_from is not None:
        return _continued(config, config.settings.continue_from, set(typed))
    if config.settings.init_from is not None:
        return _started(config, config.settings.init_from, typed)
    return config


def taken_over(config: RunConfig) -> dict[str, str]:
    """Return the digest of the weights and vocabularies that a config starts from, if any."""
    if config.settings.init_from is None:
        return {}
    return {"init_from": weights_digest(Path(config.settings.init_from))}


def weights_digest(path: Path) -> str:
    """Hash weights and vocabularies of a finished run, by the digests that its result has of them."""
    _, row = finished(path)
    files = {one["file"]: one["sha256"] for one in row.get("files", [])}
    return hashlib.sha256(f"{files.get(WEIGHTS)} {files.get(VOCABULARIES)}".encode()).hexdigest()


def same_cadence(config: RunConfig) -> bool:
    """Say whether a continued run is validated where the other one was; so is a run that continues none."""
    before = config.continued
    own = config.settings
    return before is None or before.validations * own.budget == own.validations * before.budget


def _started(config: RunConfig, base_run: str, typed: Iterable[str]) -> RunConfig:
    path = find(base_run, Path(config.settings.runs_dir), "init_from").absolute()
    base, _ = finished(path)
    task, choices = (
        {key: value for key, value in part.items() if key.partition(".")[0] != "segmentation"}
        for part in (config.parts["task"], config.choices)
    )
    parts = {**config.parts, "task": task}
    same_weights = all(config.parts.get(group) == base.parts.get(group) for group in _DRAWN)
    if same_weights and config.settings.tying == base.settings.tying:
        # Every weight is taken over, so none that is drawn is left.
        for key in typed:
            if key.partition(".")[0] == "initialization":
                raise UserError(f"{key}: init_from takes every weight from {path}, and none is drawn; leave it out")
        parts["initialization"] = base.parts["initialization"]
        choices["initialization"] = base.choices["initialization"]
    return replace(config, settings=replace(config.settings, init_from=str(path)), parts=parts, choices=choices)


def _continued(config: RunConfig, base_run: str, typed: set[str]) -> RunConfig:
    path = find(base_run, Path(config.settings.runs_dir), "continue_from").absolute()
    base, row = finished(path)
    budget = config.settings.budget
    if "budget" not in typed or budget <= base.settings.budget:
        raise UserError(
            f"budget={budget}: {path} was asked for {base.settings.budget} target tokens; continue_from needs a "
            f"larger budget, as in budget={2 * base.settings.budget}"
        )
    _check_state(path, base, row)
    located = {key for key in typed if key.partition(".")[0] == "task" and key.partition(".")[2] in LOCATIONS}
    _refuse_other_settings(path, base, config, typed - located)
    validations = config.settings.validations if "validations" in typed else _scaled(base.settings, budget)
    local = {*typed, "runs_dir", "experiment_name"} & set(_local())
    own = {key: value for key, value in config.settings.plain().items() if key in local}
    longer = {"budget": budget, "continue_from": str(path), "validations": validations}
    # The same data may lie elsewhere now: its content is compared when it is read.
    places = {key.partition(".")[2] for key in located} & config.parts["task"].keys()
    named = {"budget", "validations"} & (typed | base.choices.keys())
    return replace(
        base,
        settings=Settings.of(base.settings.plain() | own | longer),
        parts={**base.parts, "task": {**base.parts["task"], **{key: config.parts["task"][key] for key in places}}},
        tracking=config.tracking if any(key.partition(".")[0] == "tracking" for key in typed) else base.tracking,
        choices={**base.choices, **{key: longer[key] for key in named}},
        continued=Continued(base.settings.budget, base.settings.validations, base.continued),
    )


def _local() -> list[str]:
    """Return the settings that say where and how a run is kept and computed: a continued run may have others."""
    return [name for name in names(Identity.ARITHMETIC, Identity.NONE) if name != "init_from"]


def _scaled(base: Settings, budget: int) -> int:
    """Return the validations that lie where those of the other run did, or close to them."""
    return max(1, round(base.validations * budget / base.budget))


def _check_state(path: Path, base: RunConfig, row: dict[str, Any]) -> None:
    if row.get("ended") == "patience":
        raise UserError(
            f"{path} was ended by patience={base.settings.patience}, ahead of its budget: init_from starts anew"
        )
    if row.get("state") is None:
        raise UserError(
            f"{path} has kept no {STATE}: only a run that was trained with keep_state=true can be gone on with (rm -r "
            f"{quoted(path)}, and its command with keep_state=true); init_from={quoted(path)} starts a new one from "
            "its weights"
        )


def _refuse_other_settings(path: Path, base: RunConfig, config: RunConfig, typed: set[str]) -> None:
    """Raise UserError for keys of the command line whose value is not that of the continued run."""
    own, others = ({**dict(flat(one.plain())), **one.choices} for one in (config, base))
    free = {*_local(), *LONGER, "tracking"}
    changed = [
        f"{key}={own.get(key)} ({others.get(key, 'not typed')} there)"
        for key in sorted(typed)
        if key.partition(".")[0] not in free and own.get(key) != others.get(key)
    ]
    if changed:
        raise UserError(
            f"continue_from takes its settings from {path}, and these are others: {', '.join(changed)}; leave them "
            "out, or start a new run with init_from"
        )
