"""What was made of some content once, kept below a cache folder under the SHA-256 of that content. No torch."""

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from softlookup import durable


def folder() -> Path:
    """`$XDG_CACHE_HOME/softlookup`, or `~/.cache/softlookup`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "softlookup"


def kept(name: str, make: Callable[[], bytes]) -> bytes:
    """What `make` gives, from the cache's file `name` where that is whole; otherwise made, and written there.

    The file begins with the SHA-256 of the rest: one that was damaged is made anew. Files are written aside and
    renamed, so several processes at once do no harm but the same work. A cache that cannot be written is none.
    """
    path = folder() / name
    with suppress(OSError):
        digest, _, content = path.read_bytes().partition(b"\n")
        if digest == _digest(content):
            return content
    content = make()
    with suppress(OSError):
        durable.write(path, _digest(content) + b"\n" + content)
    return content


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()
