"""A finished run as something to use: what it leaves for that, and how it is taken up again, checked.

RUN/checkpoints/final.pt      the weights that the result was measured with
RUN/vocabularies.json         both vocabularies as plain values: using a run needs no corpus
RUN/result.json               under `files` the bytes and the SHA-256 of both

The config is checked against the name of the folder, which ends with its hash.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from softlookup import durable
from softlookup.checkpoint import plain, serialized
from softlookup.construct import build_model
from softlookup.contract import Task
from softlookup.errors import UserError, told, typed
from softlookup.identity import VERSION, run_id
from softlookup.parts import check_part, part_of
from softlookup.record import RunFolder
from softlookup.seq2seq import Seq2Seq
from softlookup.stored import BrokenError
from softlookup.stored import config as checked_config
from softlookup.stored import result as checked_result
from softlookup.vocabulary import Vocabulary, restored

WEIGHTS = "checkpoints/final.pt"
VOCABULARIES = "vocabularies.json"


@dataclass(frozen=True)
class Trained:
    """The model of a finished run, ready to be used, with its vocabularies and its config."""

    path: Path
    config: dict[str, Any]
    model: Seq2Seq
    source: Vocabulary
    target: Vocabulary


def keep(folder: Path, model: Seq2Seq, task: Task) -> list[dict[str, Any]]:
    """Write what `load` needs, and return the rows that vouch for it: file, bytes, sha256."""
    vocabularies = {"source": task.source_vocabulary.state(), "target": task.target_vocabulary.state()}
    contents = {
        WEIGHTS: serialized(model.state_dict()),
        VOCABULARIES: json.dumps(vocabularies, ensure_ascii=False).encode() + b"\n",
    }
    for name, data in contents.items():
        durable.write(folder / name, data)
    return [
        {"file": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in contents.items()
    ]


def find(run: str, runs_dir: Path) -> Path:
    """The folder of a run, by its path (from the caller's folder, or below `runs_dir`) or by its id.

    Raises UserError where there is none, and where an id is that of several experiments' runs.
    """
    for place in (Path(run).expanduser(), runs_dir / run):
        if os.path.isdir(place):
            return _run_at(place)
    known = sorted(path.parent for path in runs_dir.glob("*/*/state.json"))
    found = [path for path in known if path.name == run]
    if len(found) > 1:
        raise UserError(f"run={told(run)} is in several experiments; give the path: {' or '.join(map(typed, found))}")
    if found:
        return found[0]
    close = get_close_matches(run, [path.name for path in known], n=3, cutoff=0.6)
    offer = f"did you mean {' or '.join(close)}?" if close else _offered(known, runs_dir)
    raise UserError(f"run={told(run)}: no folder of that name, and no run below {runs_dir}; {offer}")


def _offered(known: list[Path], place: Path) -> str:
    finished = [path for path in known if RunFolder(path).state() == "finished"]
    if not finished:
        return "give the folder of a finished run; python src/train.py trains one and prints its folder"
    newest = max(finished, key=lambda path: (path / "state.json").stat().st_mtime)
    return f"of {len(finished)} finished runs below {place} the newest is run={typed(newest)}"


def _run_at(place: Path) -> Path:
    if any(os.path.lexists(place / name) for name in ("state.json", "result.json")):
        return place
    inside = sorted(path.parent for depth in ("*", "*/*") for path in place.glob(f"{depth}/state.json"))
    raise UserError(f"{place} is not the folder of a run (it has no state.json); {_offered(inside, place)}")


def load(path: Path) -> Trained:
    """The run in a folder, ready to be used; its weights are on the CPU.

    Raises UserError for a run that is not finished, one that was made before vocabularies were kept, and for a file
    that is missing, is not as it was when the run ended, or does not fit the others.
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
    config = _config(folder)
    files = _files(path, row)
    vocabularies = json.loads(files[VOCABULARIES])
    source, target = restored(vocabularies["source"]), restored(vocabularies["target"])
    model = build_model(config, len(source), len(target))
    weights = plain(path / WEIGHTS, files[WEIGHTS])
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError(
            f"{path / WEIGHTS} has other weights than the model that this version builds of config.yaml; use the "
            "version that result.json names under provenance"
        ) from error
    return Trained(path, config, model.eval(), source, target)


def _config(folder: RunFolder) -> dict[str, Any]:
    """The config of the run whose hash its name has, with parts that this version can build."""
    path = folder.path / "config.yaml"
    try:
        checked_config(path)
        config: dict[str, Any] = yaml.safe_load(path.read_bytes())
        known = run_id(config)
    except (BrokenError, OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is missing or broken ({error}); restore it, or train the run again") from error
    if known != folder.id:
        raise UserError(
            f"{path} is the config of {told(known)}, and not of this folder; restore it, or the folder's name"
        )
    for group in ("encoder", "attention", "decoder"):
        check_part(group, config.get(group), part_of(group))
    return config


def _files(path: Path, row: dict[str, Any]) -> dict[str, bytes]:
    """The bytes of both files, each as the result says it was."""
    anew = f"restore it, or train the run again: rm -r {typed(path)}, and the command that began it"
    rows = row.get("files")
    try:
        expected = {one["file"]: (one["bytes"], one["sha256"]) for one in rows or []}
    except (TypeError, KeyError) as error:
        raise UserError(f"{path / 'result.json'}: files cannot be read; {anew}") from error
    found = {}
    for name in (WEIGHTS, VOCABULARIES):
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
