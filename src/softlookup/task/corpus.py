"""Encode training text: learn vocabularies, encode and count pairs; cached by content."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

from softlookup.contract import Segmentation
from softlookup.errors import UserError
from softlookup.system import content_cache
from softlookup.task.encoded import Encoded, Ids, write
from softlookup.task.split import Pair, Split
from softlookup.text.languages import length, unit
from softlookup.text.vocabulary import UNK, Vocabulary, restored

_VERSION = 4  # part of the cache key; raise it to encode all cached text again
JUDGED = ("validation", "test")


@dataclass(frozen=True)
class Corpus:
    """Encoded training examples with their vocabularies and statistics.

    `lengths` counts training examples by source length; `longest` is the length of the longest source in the unit of
    its language (`languages.unit`); `unknown` is the share of unknown tokens per side. `dropped` counts pairs with a
    side that is too long, and pairs with a side without words; `joins` counts examples that join several pairs.
    `overlap` has for validation and test the number of pairs, and of sources, that occur in training too, compared
    without case and blanks.
    """

    vocabularies: tuple[Vocabulary, Vocabulary]
    examples: Encoded
    lengths: dict[int, int]
    longest: int
    unknown: tuple[float, float]
    dropped: tuple[int, int]
    joins: int
    overlap: dict[str, tuple[int, int]]


def prepared(splits: dict[str, Split], segmentation: Segmentation, longest: int, concatenate: int) -> Corpus:
    """Return the corpus of these splits, from the cache (`content_cache.kept_file`) or made in three or more passes
    over the text, with one batch of it in memory at a time.

    Raises UserError where no pair has 1 to `longest` tokens on both sides, and whatever `segmentation` raises.
    """
    kind = type(segmentation)
    key: dict[str, Any] = {"segmentation": f"{kind.__module__}.{kind.__name__}", **vars(segmentation)}
    key |= {
        "longest": longest,
        "unit": unit(next(iter(splits["train"].names))),
        "concatenate": concatenate,
        "text": {name: split.digest for name, split in splits.items()},
    }
    key |= {"version": _VERSION, **{package: version(package) for package in ("tokenizers", "sacrebleu")}}
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    description, examples = content_cache.kept_file(
        f"text/{digest}.arrow", lambda path: _make(path, splits, segmentation, longest, concatenate), Encoded
    )
    first, second = description["vocabularies"]
    source = restored(first)
    target = source if second is None else restored(second)
    return Corpus(
        (source, target),
        examples,
        {int(length): count for length, count in description["lengths"].items()},
        description["longest"],
        tuple(description["unknown"]),
        tuple(description["dropped"]),
        description["joins"],
        {name: tuple(counts) for name, counts in description["overlap"].items()},
    )


def joined(pairs: Iterable[Pair], count: int) -> Iterator[Pair]:
    """Join every `count` consecutive pairs into one, with blanks between them, without overlap; an incomplete group at
    the end is dropped."""
    rest = iter(pairs)
    while len(group := list(islice(rest, count))) == count:
        source, target = (" ".join(side) for side in zip(*group, strict=True))
        yield source, target


def tidied(split: Iterable[Pair], vocabularies: tuple[Vocabulary, Vocabulary]) -> Iterator[Pair]:
    """Yield the pairs normalized as the vocabularies read, display and score them."""
    source, target = vocabularies
    for one, other in split:
        yield source.tidied(one), target.tidied(other)


def _make(
    path: Path, splits: dict[str, Split], segmentation: Segmentation, longest: int, concatenate: int
) -> dict[str, Any]:
    """Write the encoded training examples to `path`, and return all other fields of the corpus."""
    train = splits["train"]
    one, other = train.names.values()
    counted = unit(next(iter(train.names)))
    source, target = segmentation.learn(train, (one, other), longest)
    counts: Counter[str] = Counter()
    lengths: Counter[int] = Counter()
    overlap = _Overlap({name: list(tidied(splits[name], (source, target))) for name in JUDGED})

    def fitting() -> Iterator[tuple[Ids, Ids]]:
        for together in range(1, concatenate + 1):
            text = tidied(train, (source, target))
            for pair in text if together == 1 else joined(filter(all, text), together):
                ids = source.read(pair[0]), target.read(pair[1])
                fits = max(map(len, ids)) <= longest
                if not all(ids) or not fits:
                    counts["long" if all(ids) else "wordless"] += together == 1
                    continue
                if together == 1:
                    overlap.add(pair)
                counts["joins"] += together > 1
                lengths[len(ids[0])] += 1
                counts["longest"] = max(counts["longest"], length(pair[0], counted))
                for side, tokens in enumerate(ids):
                    counts[f"tokens {side}"] += len(tokens)
                    counts[f"unknown {side}"] += tokens.count(UNK)
                yield ids

    write(path, fitting())
    if not lengths:
        left_out = dropped(counts["long"], counts["wordless"], longest)
        raise UserError(f"no training pair is left of {one} and {other}: {left_out}")
    return {
        "vocabularies": [source.state(), None if target is source else target.state()],
        "lengths": lengths,
        "longest": counts["longest"],
        "unknown": [counts[f"unknown {side}"] / counts[f"tokens {side}"] for side in (0, 1)],
        "dropped": [counts["long"], counts["wordless"]],
        "joins": counts["joins"],
        "overlap": overlap.counts(),
    }


def dropped(long: int, wordless: int, longest: int) -> str:
    """Format the counts of dropped pairs."""
    return f"dropped {long} with a side longer than task.longest={longest} tokens, {wordless} with a side without words"


class _Overlap:
    """Find which validation and test pairs occur in the training text. Only those are kept in memory."""

    def __init__(self, judged: dict[str, list[Pair]]) -> None:
        self._judged = {name: [tuple(map(_squeezed, pair)) for pair in pairs] for name, pairs in judged.items()}
        self._wanted = {side for pairs in self._judged.values() for pair in pairs for side in (pair, pair[0])}
        self._found: set[Any] = set()

    def add(self, pair: Pair) -> None:
        whole = tuple(map(_squeezed, pair))
        self._found |= {whole, whole[0]} & self._wanted

    def counts(self) -> dict[str, tuple[int, int]]:
        return {
            name: (sum(pair in self._found for pair in pairs), sum(pair[0] in self._found for pair in pairs))
            for name, pairs in self._judged.items()
        }


def _squeezed(text: str) -> str:
    return " ".join(text.lower().split())
