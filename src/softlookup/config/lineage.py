"""Resolve `init_from` and `continue_from`: what a run takes over from a finished one. No torch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from softlookup.config.settings import check_settings
from softlookup.errors import UserError
from softlookup.errors import typed as quoted
from softlookup.runs.finished_run import STATE, VOCABULARIES, WEIGHTS, find, finished
from softlookup.runs.run_id import LOCATIONS, UNHASHED, flat

# Says where and how a run is kept and computed: one that goes on may be told anew.
_OWN = UNHASHED - {"choices", "tuned", "normalizer", "window", "segmentation", "init_from"}
# What a run that goes on has of its own besides.
LONGER = frozenset({"budget", "validations", "continued"})
# What says which weights a model has.
_DRAWN = ("encoder", "attention", "decoder", "tying")


def inherited(config: dict[str, Any], typed: Iterable[str]) -> dict[str, Any]:
    """Return a resolved config with what `init_from` or `continue_from` makes of it; `typed` are the keys of the
    command line.

    Both become absolute paths. A run that starts from another keeps its vocabularies, so it has no segmentation of its
    own. A run that goes on has the config of the other one, with a larger budget; under `continued` stand the budget
    and the validations that the other run had, which is all that tells the two apart.

    Raises UserError for a run that is not there, not finished or of other code, for keys that do nothing here, and for
    one that cannot be gone on with.
    """
    if config["init_from"] is not None and config["continue_from"] is not None:
        raise UserError("init_from starts a new run and continue_from goes on with an old one; give one of them")
    if config["continue_from"] is not None:
        return _continued(config, set(typed))
    if config["init_from"] is not None:
        return _started(config, typed)
    return config


def taken_over(config: dict[str, Any]) -> dict[str, str]:
    """Return the digest of the weights and vocabularies that a config starts from, if any."""
    if config["init_from"] is None:
        return {}
    return {"init_from": weights_digest(Path(config["init_from"]))}


def weights_digest(path: Path) -> str:
    """Hash weights and vocabularies of a finished run, by the digests that its result has of them."""
    _, row = finished(path)
    files = {one["file"]: one["sha256"] for one in row.get("files", [])}
    return hashlib.sha256(f"{files.get(WEIGHTS)} {files.get(VOCABULARIES)}".encode()).hexdigest()


def same_cadence(config: dict[str, Any]) -> bool:
    """Say whether a run that goes on is validated where the other one was."""
    before = config["continued"]
    return bool(before["validations"] * config["budget"] == config["validations"] * before["budget"])


def _started(config: dict[str, Any], typed: Iterable[str]) -> dict[str, Any]:
    path = find(config["init_from"], Path(config["runs_dir"]), "init_from").absolute()
    base, _ = finished(path)
    kept = {key: value for key, value in config.items() if key != "segmentation"}
    kept["init_from"] = str(path)
    for part in ("task", "choices"):
        kept[part] = {key: value for key, value in config[part].items() if key.partition(".")[0] != "segmentation"}
    if all(config.get(key) == base.get(key) for key in _DRAWN):
        # Every weight is taken over, so none that is drawn is left.
        for key in typed:
            if key.partition(".")[0] == "initialization":
                raise UserError(f"{key}: init_from takes every weight from {path}, and none is drawn; leave it out")
        kept["initialization"] = base["initialization"]
        kept["choices"]["initialization"] = base["choices"]["initialization"]
    return kept


def _continued(config: dict[str, Any], typed: set[str]) -> dict[str, Any]:
    path = find(config["continue_from"], Path(config["runs_dir"]), "continue_from").absolute()
    base, row = finished(path)
    if "budget" not in typed or config["budget"] <= base["budget"]:
        raise UserError(
            f"budget={config['budget']}: {path} was asked for {base['budget']} target tokens; continue_from needs a "
            f"larger budget, as in budget={2 * base['budget']}"
        )
    _check_state(path, base, row)
    located = {key for key in typed if key.partition(".")[0] == "task" and key.partition(".")[2] in LOCATIONS}
    _refuse_other_settings(path, base, config, typed - located)
    heads = {key.partition(".")[0] for key in typed} | {"runs_dir", "experiment_name"}
    kept = base | {key: config[key] for key in _OWN & heads if key in config}
    kept |= {"budget": config["budget"], "continue_from": str(path)}
    # The same data may lie elsewhere now: its content is compared when it is read.
    places = {key.partition(".")[2] for key in located}
    kept["task"] = base["task"] | {name: config["task"][name] for name in places if name in config["task"]}
    kept["validations"] = config["validations"] if "validations" in typed else _scaled(base, config["budget"])
    named = {"budget", "validations"} & (typed | base["choices"].keys())
    kept["choices"] = base["choices"] | {key: kept[key] for key in named}
    kept["continued"] = {key: base[key] for key in ("budget", "validations", "continued") if key in base}
    check_settings(kept)
    return kept


def _scaled(base: dict[str, Any], budget: int) -> int:
    """So many validations that they lie where those of the other run did, or about there."""
    return max(1, round(base["validations"] * budget / base["budget"]))


def _check_state(path: Path, base: dict[str, Any], row: dict[str, Any]) -> None:
    if row.get("ended") == "patience":
        raise UserError(f"{path} was ended by patience={base['patience']}, ahead of its budget: init_from starts anew")
    if row.get("state") is None:
        raise UserError(
            f"{path} has kept no {STATE}: only a run that was trained with keep_state=true can be gone on with (rm -r "
            f"{quoted(path)}, and its command with keep_state=true); init_from={quoted(path)} starts a new one from "
            "its weights"
        )


def _refuse_other_settings(path: Path, base: dict[str, Any], config: dict[str, Any], typed: set[str]) -> None:
    """Raise UserError for keys of the command line whose value is not that of the run which is gone on with."""
    own, others = (dict(flat(one)) | one["choices"] for one in (config, base))
    changed = [
        f"{key}={own.get(key)} ({others.get(key, 'not typed')} there)"
        for key in sorted(typed)
        if key.partition(".")[0] not in _OWN | LONGER and own.get(key) != others.get(key)
    ]
    if changed:
        raise UserError(
            f"continue_from takes its settings from {path}, and these are others: {', '.join(changed)}; leave them "
            "out, or start a new run with init_from"
        )
