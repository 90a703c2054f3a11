"""Read alignments of text from files: gold links by annotators, silver links by a statistical aligner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from softlookup.contract import Example, WordLinks
from softlookup.errors import UserError
from softlookup.text import pharaoh, word_alignment
from softlookup.text.pharaoh import Gold
from softlookup.text.vocabulary import Vocabulary


def linked(
    examples: Sequence[Example],
    pairs: Sequence[tuple[str, str]],
    vocabularies: tuple[Vocabulary, Vocabulary],
    files: tuple[str | None, str | None],
) -> list[Example]:
    """Add the links of two Pharaoh files, gold (task.alignment) and silver (task.silver), to the examples of `pairs`.

    Either file may be None. Links are between words separated by blanks (`text.word_alignment`). Raises UserError for a
    file that cannot be read, has another number of lines, or has a link outside its pair.
    """
    if files == (None, None):
        return list(examples)
    known = [None if file is None else _read(Path(file).expanduser(), pairs) for file in files]
    found = []
    for place, (example, pair) in enumerate(zip(examples, pairs, strict=True)):
        source, target = (word_alignment.of_read(v, text) for v, text in zip(vocabularies, pair, strict=True))
        gold, silver = (None if rows is None else rows[place] for rows in known)
        found.append(replace(example, links=WordLinks(source, target, gold, silver)))
    return found


def _read(path: Path, pairs: Sequence[tuple[str, str]]) -> list[Gold]:
    rows = pharaoh.read(path)
    if len(rows) != len(pairs):
        raise UserError(f"{path} has {len(rows)} lines, and the test set {len(pairs)} pairs; one line of links a pair")
    for number, (gold, (source, target)) in enumerate(zip(rows, pairs, strict=True), start=1):
        pharaoh.check(
            gold, len(word_alignment.split(source)), len(word_alignment.split(target)), f"{path}, line {number}"
        )
    return rows
