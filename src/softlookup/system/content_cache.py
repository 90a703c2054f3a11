"""Cache results on disk under the SHA-256 of their input. No torch."""

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


def folder() -> Path:
    """`$XDG_CACHE_HOME/softlookup`, or `~/.cache/softlookup`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "softlookup"


def kept(name: str, make: Callable[[], bytes]) -> bytes:
    """Return what `make` gives, from the cache's file `name` where that is whole; otherwise made, and written there.

    The file begins with the SHA-256 of the rest: one that was damaged is made anew. Files are written aside and
    renamed, so several processes at once do no harm but the same work. A cache that cannot be written is none.
    """
    path = folder() / name
    with suppress(OSError, ValueError):
        return _checked(path.read_bytes())
    content = make()
    with suppress(OSError):
        atomic_files.write(path, _digest(content) + b"\n" + content)
    return content


def kept_file(name: str, make: Callable[[Path], Any], opened: Callable[[Path], Opened]) -> tuple[Any, Opened]:
    """Return what `make(path)` tells (plain JSON values) of the file that it writes, and that file, opened.

    Both from the cache where they are whole; otherwise made, and left there. `make` gives the same each time. Where the
    cache cannot be written the file is made in a temporary folder, of which nothing is left: `opened` maps it.
    """
    path, description = folder() / name, folder() / f"{name}.json"
    with suppress(OSError, ValueError, KeyError, TypeError):
        known = json.loads(_checked(description.read_bytes()))
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == known["sha256"]:
                return known["told"], opened(path)
    _sweep_up(path.parent)
    with suppress(OSError):
        with atomic_files.written(path) as aside:
            told = make(aside)
            with aside.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        content = json.dumps({"sha256": digest, "told": told}).encode()
        atomic_files.write(description, _digest(content) + b"\n" + content)
        return told, opened(path)
    with TemporaryDirectory() as temporary:
        path = Path(temporary) / "file"
        return make(path), opened(path)


def _sweep_up(kept: Path) -> None:
    """Delete what makers that were killed have left aside more than a day ago."""
    with suppress(OSError):
        for aside in kept.glob(".*"):
            if aside.stat().st_mtime < time.time() - 86_400:
                aside.unlink()


def _checked(content: bytes) -> bytes:
    """Return what stands behind the SHA-256 of it. Raises ValueError where that is another."""
    digest, _, rest = content.partition(b"\n")
    if digest != _digest(rest):
        raise ValueError("damaged")
    return rest


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()
