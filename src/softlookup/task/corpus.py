"""Encode training text: learn vocabularies, encode pairs, count; cached by content."""

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

_VERSION = 4  # another number makes all that is kept anew
JUDGED = ("validation", "test")


@dataclass(frozen=True)
class Corpus:
    """Hold what training reads, and what is to be known of it.

    `lengths` counts training examples by source length; `longest` is that of the longest source in the unit of its
    language (`languages.unit`), `unknown` the share of unknown tokens on either side. `dropped` counts pairs with
    too long a side and with one without words, `joins` those of several pairs. `overlap` has for validation and test
    how many of their pairs, and how many of their sources, are in training too, whatever the case and the blanks.
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
    """Return the corpus of these splits: from the cache (`cache.kept_file`), or made in three passes or more over the
    text, of which no more than a batch is held.

    Raises UserError where no pair has 1 to `longest` tokens on both sides, and what `segmentation` raises.
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
    told, examples = content_cache.kept_file(
        f"text/{digest}.arrow", lambda path: _make(path, splits, segmentation, longest, concatenate), Encoded
    )
    source = restored(told["vocabularies"][0])
    target = source if told["vocabularies"][1] is None else restored(told["vocabularies"][1])
    return Corpus(
        (source, target),
        examples,
        {int(length): count for length, count in told["lengths"].items()},
        told["longest"],
        tuple(told["unknown"]),
        tuple(told["dropped"]),
        told["joins"],
        {name: tuple(counts) for name, counts in told["overlap"].items()},
    )


def joined(pairs: Iterable[Pair], count: int) -> Iterator[Pair]:
    """`count` consecutive pairs as one, a blank between them, without overlap; a rest that is too short is left out."""
    rest = iter(pairs)
    while len(few := list(islice(rest, count))) == count:
        source, target = (" ".join(side) for side in zip(*few, strict=True))
        yield source, target


def tidied(split: Iterable[Pair], vocabularies: tuple[Vocabulary, Vocabulary]) -> Iterator[Pair]:
    """Yield the pairs as the vocabularies read, show and score them."""
    source, target = vocabularies
    for one, other in split:
        yield source.tidied(one), target.tidied(other)


def _make(
    path: Path, splits: dict[str, Split], segmentation: Segmentation, longest: int, concatenate: int
) -> dict[str, Any]:
    """Write the encoded training examples; everything else that a corpus is."""
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
                    overlap.meet(pair)
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
    """Return the counts of pairs left out, in words."""
    return f"dropped {long} with a side longer than task.longest={longest} tokens, {wordless} with a side without words"


class _Overlap:
    """Hold what training text is in validation and test too. Holds those alone."""

    def __init__(self, judged: dict[str, list[Pair]]) -> None:
        self._judged = {name: [tuple(map(_squeezed, pair)) for pair in pairs] for name, pairs in judged.items()}
        self._asked = {side for pairs in self._judged.values() for pair in pairs for side in (pair, pair[0])}
        self._met: set[Any] = set()

    def meet(self, pair: Pair) -> None:
        whole = tuple(map(_squeezed, pair))
        self._met |= {whole, whole[0]} & self._asked

    def counts(self) -> dict[str, tuple[int, int]]:
        return {
            name: (sum(pair in self._met for pair in pairs), sum(pair[0] in self._met for pair in pairs))
            for name, pairs in self._judged.items()
        }


def _squeezed(text: str) -> str:
    return " ".join(text.lower().split())
