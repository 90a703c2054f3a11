"""Resolve `init_from` and `continue_from`: what a run inherits from a finished one. No torch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from softlookup.config.run_config import LOCATIONS, Continued, RunConfig
from softlookup.config.settings import Identity, Settings, names
from softlookup.errors import UserError, shell_quote
from softlookup.runs.finished_run import STATE, VOCABULARIES, WEIGHTS, find, finished
from softlookup.runs.run_id import flat

# Keys in which a continued run differs, besides where and how it runs.
LONGER = frozenset({"budget", "validations", "continued"})
# The groups that determine the weights of a model.
_DRAWN = ("encoder", "attention", "decoder")


def inherited(config: RunConfig, typed: Iterable[str]) -> RunConfig:
    """Return a resolved config after applying `init_from` or `continue_from`; `typed` are the keys of the command line.

    Both settings become absolute paths. A run with `init_from` uses the vocabularies of the other run and therefore has
    no segmentation. A run with `continue_from` has the config of the other run with a larger budget; its `continued`
    holds the budget and the validations of the other run, which distinguishes the two.

    Raises UserError for a run that does not exist, is not finished or is of another version, for keys without effect
    here, and for a run that cannot be continued.
    """
    if config.settings.init_from is not None and config.settings.continue_from is not None:
        raise UserError("init_from starts a new run and continue_from continues an old one; give one of them")
    if config.settings.continue_from is not None:
        return _continued(config, config.settings.continue_from, set(typed))
    if config.settings.init_from is not None:
        return _started(config, config.settings.init_from, typed)
    return config


def initial_digests(config: RunConfig) -> dict[str, str]:
    """Return the digest of the weights and vocabularies that `init_from` names, if it is set."""
    if config.settings.init_from is None:
        return {}
    return {"init_from": weights_digest(Path(config.settings.init_from))}


def weights_digest(path: Path) -> str:
    """Hash the weights and vocabularies of a finished run, by the digests in its result."""
    _, row = finished(path)
    files = {one["file"]: one["sha256"] for one in row.get("files", [])}
    return hashlib.sha256(f"{files.get(WEIGHTS)} {files.get(VOCABULARIES)}".encode()).hexdigest()


def same_cadence(config: RunConfig) -> bool:
    """Return whether the validations of a continued run lie at those of the other run; true if it continues none."""
    before = config.continued
    now = config.settings
    return before is None or before.validations * now.budget == now.validations * before.budget


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
        # Every weight comes from the other run, so an initialization has no effect.
        for key in typed:
            if key.partition(".")[0] == "initialization":
                raise UserError(
                    f"{key}: init_from takes every weight from {path}, so none is initialized; leave it out"
                )
        parts["initialization"] = base.parts["initialization"]
        choices["initialization"] = base.choices["initialization"]
    return replace(config, settings=replace(config.settings, init_from=str(path)), parts=parts, choices=choices)


def _continued(config: RunConfig, base_run: str, typed: set[str]) -> RunConfig:
    path = find(base_run, Path(config.settings.runs_dir), "continue_from").absolute()
    base, row = finished(path)
    budget = config.settings.budget
    if "budget" not in typed or budget <= base.settings.budget:
        raise UserError(
            f"budget={budget}: {path} has a budget of {base.settings.budget} target tokens; continue_from needs a "
            f"larger one, as in budget={2 * base.settings.budget}"
        )
    _check_state(path, base, row)
    located = {key for key in typed if key.partition(".")[0] == "task" and key.partition(".")[2] in LOCATIONS}
    _refuse_other_settings(path, base, config, typed - located)
    validations = config.settings.validations if "validations" in typed else _scaled(base.settings, budget)
    local = {*typed, "runs_dir", "experiment_name"} & set(_local())
    changed = {key: value for key, value in config.settings.plain().items() if key in local}
    longer = {"budget": budget, "continue_from": str(path), "validations": validations}
    # The data may have moved; its content is compared when it is read.
    places = {key.partition(".")[2] for key in located} & config.parts["task"].keys()
    named = {"budget", "validations"} & (typed | base.choices.keys())
    return replace(
        base,
        settings=Settings.of(base.settings.plain() | changed | longer),
        parts={**base.parts, "task": {**base.parts["task"], **{key: config.parts["task"][key] for key in places}}},
        tracking=config.tracking if any(key.partition(".")[0] == "tracking" for key in typed) else base.tracking,
        choices={**base.choices, **{key: longer[key] for key in named}},
        continued=Continued(base.settings.budget, base.settings.validations, base.continued),
    )


def _local() -> list[str]:
    """Return the settings that only say where and how a run is stored and computed; a continued run may change them."""
    local = names(Identity.ARITHMETIC, Identity.NONE)
    return [name for name in local if name != "init_from" and not name.startswith("match")]


def _scaled(base: Settings, budget: int) -> int:
    """Return the number of validations that keeps the spacing of the other run, as closely as possible."""
    return max(1, round(base.validations * budget / base.budget))


def _check_state(path: Path, base: RunConfig, row: dict[str, Any]) -> None:
    if row.get("ended") == "patience":
        raise UserError(
            f"{path} was ended by patience={base.settings.patience} before its budget: use init_from to start a new run"
        )
    if row.get("state") is None:
        raise UserError(
            f"{path} has no {STATE}: only a run that was trained with keep_state=true can be continued (rm -r "
            f"{shell_quote(path)}, and its command with keep_state=true); init_from={shell_quote(path)} starts a "
            "new one from its weights"
        )


def _refuse_other_settings(path: Path, base: RunConfig, config: RunConfig, typed: set[str]) -> None:
    """Raise UserError for command-line keys whose values differ from those of the continued run."""
    now, before = ({**dict(flat(one.plain())), **one.choices} for one in (config, base))
    free = {*_local(), *LONGER, "tracking"}
    changed = [
        f"{key}={now.get(key)} ({before.get(key, 'not set')} there)"
        for key in sorted(typed)
        if key.partition(".")[0] not in free and now.get(key) != before.get(key)
    ]
    if changed:
        raise UserError(
            f"continue_from takes its settings from {path}, and these differ: {', '.join(changed)}; leave them "
            "out, or start a new run with init_from"
        )
