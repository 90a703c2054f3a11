"""Read the sentence pairs that a task's arguments names, and compute digests of everything read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from softlookup.errors import UserError
from softlookup.task.folder import read_folder
from softlookup.task.hub import DATASET, read_hub
from softlookup.task.split import Split
from softlookup.text.languages import splitting

LINKS = ("alignment", "silver")


def read(arguments: Mapping[str, Any]) -> dict[str, Split]:
    """Read the splits from the folder `path`, or if it is None from `dataset` on the hub.

    Raises UserError for data that cannot be read, and for keys that do not apply to where the data comes from.
    """
    path, dataset, columns, source, target = (
        arguments[key] for key in ("path", "dataset", "columns", "source", "target")
    )
    names = {split: arguments[split] for split in ("train", "validation", "test")}
    if path is not None and dataset is not None:
        raise UserError(f"task.path={path} task.dataset={dataset}: text comes from one place; leave one of them out")
    if path is None and columns is not None:
        raise UserError(f"task.columns={columns} names the columns of TSV files of task.path=DIR; leave it out")
    if path is None:
        return read_hub(dataset or DATASET, source, target, names)
    return read_folder(Path(path).expanduser(), source, target, columns, names)


def digests(splits: Mapping[str, Split], arguments: Mapping[str, Any]) -> dict[str, str]:
    """Return the SHA-256 of the pairs of each split and of the bytes of each file of links, by name.

    `tokenizer` is the name of BLEU's tokenizer: it may depend on the installed packages, and BLEU depends on it.
    """
    found = {name: split.digest for name, split in splits.items()}
    found["tokenizer"] = splitting(arguments["target"], arguments["tokenizer"]).tokenizer
    return found | {name: digest_of(f"task.{name}", arguments[name]) for name in LINKS if arguments[name] is not None}


def digest_of(key: str, file: str) -> str:
    """Return the SHA-256 of a file's bytes. Raises UserError that names `key` where the file cannot be read."""
    try:
        return hashlib.sha256(Path(file).expanduser().read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"{key}={file} cannot be read ({error.strerror})") from error


def digested(arguments: Mapping[str, Any]) -> dict[str, str]:
    """Return the digests of all data that a task with these arguments reads. Cached: data is read once per process."""
    settings = json.dumps({key: value for key, value in arguments.items() if key != "segmentation"}, sort_keys=True)
    stamps = tuple(_stamp(arguments[key]) for key in ("path", *LINKS))
    return dict(_digested(settings, stamps))


@lru_cache(maxsize=64)
def _digested(settings: str, stamps: Hashable) -> dict[str, str]:  # noqa: ARG001 - stamps are part of the cache key
    arguments = dict.fromkeys(("train", "validation", "test", "tokenizer")) | json.loads(settings)
    return digests(read(arguments), arguments)


def _stamp(place: str | None) -> Hashable:
    """Return name, size, modification time and inode of a file, or of all files of a folder; nothing where the path is
    missing."""
    path = Path(place).expanduser() if place else None
    if path is None or not path.exists():
        return ()
    found = [(entry, entry.stat()) for entry in (sorted(path.iterdir()) if path.is_dir() else [path])]
    return tuple((entry.name, status.st_size, status.st_mtime_ns, status.st_ino) for entry, status in found)
