"""Share drawn pools of training examples between the runs of a sweep."""

import hashlib
import marshal
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from softlookup.contract import Example
from softlookup.system import content_cache

# Target tokens of a run after which its pools are not shared: a run with a larger budget would fill the disk.
SHARED = 4_000_000
_FIELDS = tuple(field.name for field in fields(Example))


@dataclass(frozen=True)
class Drawn:
    """A pool of examples, whether the end of the budget cut it short, and the states of the random generator and of the
    task's examples after it."""

    examples: Sequence[Example]
    cut: bool
    generator: dict[str, Any]
    state: dict[str, Any]


class SharedPools:
    """Keep pools in files of a folder, so that of all runs with the same data only the first draws them.

    `source` names everything that a task's examples depend on, besides the state before a pool: the task with its
    arguments and the code of this package. Without a folder, or for examples with word links, nothing is shared. A
    file that is damaged or cannot be written only costs the time to draw its pool again.
    """

    def __init__(self, folder: Path | None = None, source: object = None) -> None:
        self._folder = folder
        self._source = source

    def read(self, before: object) -> Drawn | None:
        """Return the pool that follows a state; None if no run has drawn it."""
        path = self._path(before)
        content = None if path is None else content_cache.read(path)
        if content is None:
            return None
        rows, *rest = marshal.loads(zlib.decompress(content))  # only what is written below has a valid SHA-256
        return Drawn([Example(*row) for row in rows], *rest)

    def write(self, before: object, drawn: Drawn) -> None:
        """Keep the pool that follows a state."""
        path = self._path(before)
        if path is None or any(example.links is not None for example in drawn.examples):
            return
        rows = [tuple([getattr(example, name) for name in _FIELDS]) for example in drawn.examples]
        content = marshal.dumps((rows, drawn.cut, drawn.generator, drawn.state))
        content_cache.write(path, zlib.compress(content, level=1), flush=False)

    def _path(self, before: object) -> Path | None:
        if self._folder is None:
            return None
        return self._folder / hashlib.sha256(repr((self._source, before)).encode()).hexdigest()
