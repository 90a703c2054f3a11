"""Cache results in files named by the SHA-256 of their input. No torch."""

import hashlib
import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from softlookup.system import atomic_files

Opened = TypeVar("Opened")
# In the folder of an experiment, while a sweep of it runs on this machine: what its runs share.
SHARED = ".shared"


def folder() -> Path:
    """Return `$XDG_CACHE_HOME/softlookup`, or `~/.cache/softlookup`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "softlookup"


def kept(name: str, make: Callable[[], bytes]) -> bytes:
    """Return the cached content of file `name`, or the result of `make`, which is then cached.

    The file begins with the SHA-256 of the rest; a damaged file is made again. Files are written atomically, so
    concurrent processes only duplicate work. If the cache cannot be written, nothing is cached.
    """
    path = folder() / name
    content = read(path)
    if content is None:
        content = make()
        write(path, content)
    return content


def read(path: Path) -> bytes | None:
    """Return the content that `write` wrote; None if there is no such file, or if it is damaged."""
    with suppress(OSError, ValueError):
        return _checked(path.read_bytes())
    return None


def write(path: Path, content: bytes, flush: bool = True) -> None:
    """Write a file with its SHA-256, atomically, if that is possible; `flush` as for `atomic_files.written`."""
    with suppress(OSError), atomic_files.written(path, flush) as aside:
        aside.write_bytes(_digest(content) + b"\n" + content)


def kept_file(name: str, make: Callable[[Path], Any], opened: Callable[[Path], Opened]) -> tuple[Any, Opened]:
    """Return a cached file, opened by `opened`, and its description; make them with `make` if they are not cached.

    `make(path)` writes the file and returns its description, plain JSON values; it must be deterministic. Damaged files
    are made again. If the cache cannot be written, the file is made in a temporary folder, which is deleted once
    `opened` has mapped the file.
    """
    path, description = folder() / name, folder() / f"{name}.json"
    with suppress(OSError, ValueError, KeyError, TypeError):
        known = json.loads(_checked(description.read_bytes()))
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == known["sha256"]:
                return known["told"], opened(path)
    _delete_stale(path.parent)
    with suppress(OSError):
        with atomic_files.written(path) as aside:
            made = make(aside)
            with aside.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        content = json.dumps({"sha256": digest, "told": made}).encode()
        atomic_files.write(description, _digest(content) + b"\n" + content)
        return made, opened(path)
    with TemporaryDirectory() as temporary:
        path = Path(temporary) / "file"
        return make(path), opened(path)


def _delete_stale(kept: Path) -> None:
    """Delete temporary files that killed processes left more than a day ago."""
    with suppress(OSError):
        for aside in kept.glob(".*"):
            if aside.stat().st_mtime < time.time() - 86_400:
                aside.unlink()


def _checked(content: bytes) -> bytes:
    """Return the content after its SHA-256. Raises ValueError where the two do not match."""
    digest, _, rest = content.partition(b"\n")
    if digest != _digest(rest):
        raise ValueError("damaged")
    return rest


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()
