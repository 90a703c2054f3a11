"""Find a finished run by its path or its id, and check what it left against what its result says. No torch."""

from __future__ import annotations

import hashlib
import os
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from softlookup.config.run_config import RunConfig
from softlookup.errors import UserError, quote, typed
from softlookup.runs.expectations import BrokenError
from softlookup.runs.run_folder import RunFolder
from softlookup.runs.run_id import VERSION, run_id
from softlookup.runs.validated_files import config as checked_config
from softlookup.runs.validated_files import result as checked_result

WEIGHTS = "checkpoints/final.pt"
VOCABULARIES = "vocabularies.json"
STATE = "checkpoints/state.pt"


def find(run: str, runs_dir: Path, key: str = "run") -> Path:
    """Return the folder of a run, by its path (from the caller's folder, or below `runs_dir`) or by its id.

    Raises UserError, with the `key` that asked for it, where there is none, and where an id is that of several
    experiments' runs.
    """
    for place in (Path(run).expanduser(), runs_dir / run):
        if os.path.isdir(place):
            return _run_at(place, key)
    known = sorted(path.parent for path in runs_dir.glob("*/*/state.json"))
    found = [path for path in known if path.name == run]
    if len(found) > 1:
        raise UserError(
            f"{key}={quote(run)} is in several experiments; give the path: {' or '.join(map(typed, found))}"
        )
    if found:
        return found[0]
    close = get_close_matches(run, [path.name for path in known], n=3, cutoff=0.6)
    offer = f"did you mean {' or '.join(close)}?" if close else _offered(known, runs_dir, key)
    raise UserError(f"{key}={quote(run)}: no folder of that name, and no run below {runs_dir}; {offer}")


def _offered(known: list[Path], place: Path, key: str) -> str:
    finished = [path for path in known if RunFolder(path).state() == "finished"]
    if not finished:
        return "give the folder of a finished run; python src/train.py trains one and prints its folder"
    newest = max(finished, key=lambda path: (path / "state.json").stat().st_mtime)
    return f"of {len(finished)} finished runs below {place} the newest is {key}={typed(newest)}"


def _run_at(place: Path, key: str) -> Path:
    if any(os.path.lexists(place / name) for name in ("state.json", "result.json")):
        return place
    inside = sorted(path.parent for depth in ("*", "*/*") for path in place.glob(f"{depth}/state.json"))
    raise UserError(f"{place} is not the folder of a run (it has no state.json); {_offered(inside, place, key)}")


def finished(path: Path) -> tuple[RunConfig, dict[str, Any]]:
    """Return config and result row of the finished run in a folder.

    Raises UserError for a run that is not finished, one of another version of the code, and for files that are broken
    or belong to another run.
    """
    folder = RunFolder(path)
    state, reason = folder.status()
    if state != "finished":
        why = f" ({reason})" if reason else ""
        raise UserError(
            f"{path} is {state or 'without a state'}{why}: only a finished run can be used; the command that began it "
            "goes on with it"
        )
    try:
        row = checked_result(folder.path / "result.json")
    except BrokenError as error:
        raise UserError(
            f"{path}: {error}; to make it anew: rm -r {typed(path)}, and the command that began it"
        ) from error
    if row.get("version") != VERSION:
        made = row.get("provenance", {}).get("commit") or "result.json names it under provenance"
        raise UserError(
            f"{path} was made by other code, whose figures mean something else; use that version (commit {made}), or "
            "train the run again"
        )
    return _config(folder), row


def _config(folder: RunFolder) -> RunConfig:
    """Return the config of the run whose hash its name has."""
    path = folder.path / "config.yaml"
    try:
        checked_config(path)
        config = RunConfig.of(yaml.safe_load(path.read_bytes()))
        known = run_id(config)
    except (BrokenError, UserError, OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is missing or broken ({error}); restore it, or train the run again") from error
    if known != folder.id:
        raise UserError(
            f"{path} is the config of {quote(known)}, and not of this folder; restore it, or the folder's name"
        )
    return config


def vouched(path: Path, row: dict[str, Any], *names: str) -> dict[str, bytes]:
    """Return the bytes of files of a finished run, each as its result says it was. Raises UserError."""
    anew = f"restore it, or train the run again: rm -r {typed(path)}, and the command that began it"
    rows = row.get("files")
    try:
        expected = {one["file"]: (one["bytes"], one["sha256"]) for one in rows or []}
    except (TypeError, KeyError) as error:
        raise UserError(f"{path / 'result.json'}: files cannot be read; {anew}") from error
    found = {}
    for name in names:
        if name not in expected:
            raise UserError(
                f"{path} was made before runs kept what using them needs; train it again: rm -r {typed(path)}"
            )
        try:
            data = (path / name).read_bytes()
        except OSError as error:
            raise UserError(f"{path / name} cannot be read ({error.strerror}); {anew}") from error
        size, digest = expected[name]
        if len(data) != size:
            raise UserError(f"{path / name} is corrupt ({len(data)} of {size} bytes): not used; {anew}")
        if hashlib.sha256(data).hexdigest() != digest:
            raise UserError(f"{path / name} is corrupt (another SHA-256 than when the run ended): not used; {anew}")
        found[name] = data
    return found
