"""Iterate over the sentence pairs of a split repeatedly without holding them in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from softlookup.errors import UserError

Pair = tuple[str, str]  # a sentence and its translation, before normalization
# Stems of the file names (before the language or the format) of each split in a folder.
STEMS = {
    "train": ("train",),
    "validation": ("val", "valid", "dev", "validation"),
    "test": ("test_2016_flickr", "test"),
}
TRANSLATION = "translation"  # in the hub's layout, the single column with a text for each language


@dataclass(frozen=True)
class Split:
    """Sentences and their translations, read from the files at every iteration, so that memory does not limit their
    number.

    `names` maps each language to the origin of its side, `first` is the line (or row) number of the first pair,
    `digest` the SHA-256 of all `count` pairs. An iteration raises UserError at its end if the files have changed.
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
    """Read all rows once to count, digest and check them, and return the split; errors that `rows` raises for invalid
    data are raised here."""
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
