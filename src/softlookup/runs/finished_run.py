"""Find a finished run by path or id, and verify its files against its result. No torch."""

from __future__ import annotations

import hashlib
import os
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from softlookup.config.run_config import RunConfig
from softlookup.errors import UserError, quote, shell_quote
from softlookup.runs.expectations import BrokenError
from softlookup.runs.run_folder import RunFolder
from softlookup.runs.run_id import VERSION, run_id
from softlookup.runs.validated_files import config as checked_config
from softlookup.runs.validated_files import result as checked_result

WEIGHTS = "checkpoints/final.pt"
VOCABULARIES = "vocabularies.json"
STATE = "checkpoints/state.pt"


def find(run: str, runs_dir: Path, key: str = "run") -> Path:
    """Return the folder of a run, by its path (relative to the working directory or to `runs_dir`) or by its id.

    Raises UserError, which names the command-line `key`, if there is no such run, and if several experiments have a run
    with this id.
    """
    for place in (Path(run).expanduser(), runs_dir / run):
        if os.path.isdir(place):
            return _run_at(place, key)
    known = sorted(path.parent for path in runs_dir.glob("*/*/state.json"))
    found = [path for path in known if path.name == run]
    if len(found) > 1:
        raise UserError(
            f"{key}={quote(run)} is in several experiments; give the path: {' or '.join(map(shell_quote, found))}"
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
    return f"of {len(finished)} finished runs below {place} the newest is {key}={shell_quote(newest)}"


def _run_at(place: Path, key: str) -> Path:
    if any(os.path.lexists(place / name) for name in ("state.json", "result.json")):
        return place
    inside = sorted(path.parent for depth in ("*", "*/*") for path in place.glob(f"{depth}/state.json"))
    raise UserError(f"{place} is not the folder of a run (it has no state.json); {_offered(inside, place, key)}")


def finished(path: Path) -> tuple[RunConfig, dict[str, Any]]:
    """Return the config and the result row of the finished run in a folder.

    Raises UserError for a run that is not finished, for one of another version of the code, and for files that are
    broken or belong to another run.
    """
    folder = RunFolder(path)
    state, reason = folder.status()
    if state != "finished":
        why = f" ({reason})" if reason else ""
        raise UserError(
            f"{path} is {state or 'without a state'}{why}: only a finished run can be used; the command that started "
            "it continues it"
        )
    try:
        row = checked_result(folder.path / "result.json")
    except BrokenError as error:
        raise UserError(
            f"{path}: {error}; to train it again: rm -r {shell_quote(path)}, and the command that started it"
        ) from error
    if row.get("version") != VERSION:
        commit = row.get("provenance", {}).get("commit") or "result.json names it under provenance"
        raise UserError(
            f"{path} was made by another version of the code, so its figures cannot be compared; use that version "
            f"(commit {commit}), or train the run again"
        )
    return _config(folder), row


def _config(folder: RunFolder) -> RunConfig:
    """Return the config of a run, whose hash must be the one in the folder's name."""
    path = folder.path / "config.yaml"
    try:
        checked_config(path)
        config = RunConfig.of(yaml.safe_load(path.read_bytes()))
        expected_id = run_id(config)
    except (BrokenError, UserError, OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is missing or broken ({error}); restore it, or train the run again") from error
    if expected_id != folder.id:
        raise UserError(
            f"{path} is the config of {quote(expected_id)}, not of this folder; restore the file or the folder's name"
        )
    return config


def read_verified(path: Path, row: dict[str, Any], *names: str) -> dict[str, bytes]:
    """Return the bytes of files of a finished run, verified against the digests in its result. Raises UserError."""
    remedy = f"restore it, or train the run again: rm -r {shell_quote(path)}, and the command that started it"
    rows = row.get("files")
    try:
        expected = {one["file"]: (one["bytes"], one["sha256"]) for one in rows or []}
    except (TypeError, KeyError) as error:
        raise UserError(f"{path / 'result.json'}: files cannot be read; {remedy}") from error
    found = {}
    for name in names:
        if name not in expected:
            raise UserError(
                f"{path} has no verified {name}: it was made before runs kept that file; train it again: "
                f"rm -r {shell_quote(path)}"
            )
        try:
            data = (path / name).read_bytes()
        except OSError as error:
            raise UserError(f"{path / name} cannot be read ({error.strerror}); {remedy}") from error
        size, digest = expected[name]
        if len(data) != size:
            raise UserError(f"{path / name} is corrupt ({len(data)} of {size} bytes): not used; {remedy}")
        if hashlib.sha256(data).hexdigest() != digest:
            raise UserError(
                f"{path / name} is corrupt (its SHA-256 differs from the one at the end of the run): not used; {remedy}"
            )
        found[name] = data
    return found
