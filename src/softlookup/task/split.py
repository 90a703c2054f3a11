"""Sentence pairs, wherever they come from: gone through as often as wanted, never held."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from softlookup.errors import UserError

Pair = tuple[str, str]  # a sentence and its translation, as people wrote them
# The file names, before the language or the format, that hold each split in a folder.
STEMS = {
    "train": ("train",),
    "validation": ("val", "valid", "dev", "validation"),
    "test": ("test_2016_flickr", "test"),
}
TRANSLATION = "translation"  # the one column of the hub's layout, which holds a text for each language


@dataclass(frozen=True)
class Split:
    """Sentences and their translations, read anew at every iteration, so that any number of them fits into memory.

    `names` says by language where each side comes from, `first` is the line (or row) of the first pair there, `digest`
    the SHA-256 of all pairs. An iteration that comes to an end has given those `count` pairs; otherwise it raises
    UserError: the files were changed since.
    """

    names: dict[str, str]
    rows: Callable[[], Iterator[Pair]]
    first: int
    count: int
    digest: str

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Pair]:
        digest = hashlib.sha256()
        for pair in self.rows():
            digest.update(_spelled(pair))
            yield pair
        if digest.hexdigest() != self.digest:
            raise UserError(f"{' and '.join(self.names.values())} changed while it was read; type the command again")


def examined(names: dict[str, str], rows: Callable[[], Iterator[Pair]], first: int = 1) -> Split:
    """Return a split whose every row was looked at: whatever `rows` raises for a mistake in the data it raises here."""
    digest, count = hashlib.sha256(), 0
    for pair in rows():
        digest.update(_spelled(pair))
        count += 1
    if not count:
        raise UserError(f"{' and '.join(names.values())} has no rows; expected one sentence pair or more")
    return Split(names, rows, first, count, digest.hexdigest())


def _spelled(pair: Pair) -> bytes:
    one, other = (side.encode() for side in pair)
    return b"%d %d " % (len(one), len(other)) + one + other
