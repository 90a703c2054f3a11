"""Parallel text: translation from sentence pairs, by words."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from sys import intern
from typing import Any, NamedTuple

import numpy as np
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a
from sacrebleu.tokenizers.tokenizer_re import TokenizerRegexp

from softlookup.contract import Example, Examples, Task
from softlookup.errors import UserError
from softlookup.task.gold import linked
from softlookup.task.lines import Split, read_folder, read_hub
from softlookup.vocabulary import UNK, Vocabulary

FEWEST = 20  # test sentences in a bucket
Words = tuple[str, ...]


class Pair(NamedTuple):
    """A sentence and its translation in words, and the translation as people wrote it."""

    source: Words
    target: Words
    reference: str


class Parallel(Task):
    """Translation of line-aligned text, `source` to `target` (language codes).

    Read from `path`, a folder (`task.lines.read_folder` says which files), or where it is None from `dataset` on
    the Hugging Face hub. Words are those of sacrebleu's 13a tokenizer, lowercased first if `lowercase`, so that
    BLEU of space-joined words against the reference is what it claims to be. Each vocabulary has the words that
    training shows at least `minimum_frequency` times, most frequent first, ties by code point; all others are UNK.

    A training pair with a side longer than `longest` words, or without words, is dropped and counted in `notes`.
    Validation and test are kept whole: there a long sentence stays and a side without words is an error. Pairs of
    theirs that training has too are left in, since the sets are those of the published figures, and counted too.

    `alignment` names a Pharaoh file with the gold alignments of the test set, `silver` one of a statistical aligner
    (`task.gold`). Raises UserError for data that cannot be read and for settings that leave nothing.
    """

    def __init__(
        self,
        path: str | None,
        dataset: str,
        source: str,
        target: str,
        minimum_frequency: int,
        lowercase: bool,
        longest: int,
        alignment: str | None,
        silver: str | None,
    ) -> None:
        if source == target:
            raise UserError(f"task.source and task.target are both {source}; give two languages")
        if longest < 1 or minimum_frequency < 1:
            raise UserError(f"task.longest={longest} task.minimum_frequency={minimum_frequency}: both are 1 or more")
        splits = (
            read_hub(dataset, source, target) if path is None else read_folder(Path(path).expanduser(), source, target)
        )
        pairs = {name: _pairs(split, source, target, lowercase) for name, split in splits.items()}
        # The tokenizers keep every line they have seen, for the life of the process.
        Tokenizer13a.__call__.cache_clear()
        TokenizerRegexp.__call__.cache_clear()
        train, dropped = _kept(pairs["train"], longest, splits["train"])
        for name in ("validation", "test"):
            _refuse_wordless(pairs[name], splits[name])
        names = splits["train"].names
        lines = "13a-lowercased" if lowercase else "13a"
        self.source_vocabulary = _vocabulary((pair.source for pair in train), minimum_frequency, names[source], lines)
        self.target_vocabulary = _vocabulary((pair.target for pair in train), minimum_frequency, names[target], lines)
        self._training, self._validation, self._test = (
            [self._example(pair) for pair in part] for part in (train, pairs["validation"], pairs["test"])
        )
        texts = [stripped_lines(splits["test"], language) for language in (source, target)]
        vocabularies = (self.source_vocabulary, self.target_vocabulary)
        self._test = linked(self._test, list(zip(*texts, strict=True)), vocabularies, (alignment, silver))
        lengths = [len(example.source) for example in self._training]
        self.lengths = (min(lengths), max(lengths))
        self.buckets = _buckets([len(example.source) for example in self._test])
        self._notes = [
            f"train: {len(train)} pairs {source} → {target}; {dropped}",
            f"validation: {len(pairs['validation'])} pairs; {_overlap(pairs['validation'], train)}",
            f"test: {len(pairs['test'])} pairs; {_overlap(pairs['test'], train)}",
            f"vocabulary: {source} {len(self.source_vocabulary)}, {target} {len(self.target_vocabulary)}; unknown "
            f"words of test: {source} {_unknown([e.source for e in self._test])}, "
            f"{target} {_unknown([e.target for e in self._test])}",
        ]

    def training(self, generator: np.random.Generator, limit: Callable[[], int]) -> Examples:
        """Endless passes over the training pairs, each in a fresh order.

        In one pass every pair whose source has at most `limit()` words comes exactly once. The limit is asked at
        each pair's turn: where it grows in the middle of a pass, a pair that was too long at its turn waits for
        the next one. Raises UserError where no pair is short enough at the start of a pass.
        """
        return Passes(self._training, generator, limit)

    def quantile(self, share: float) -> int:
        """The smallest source length that at least `share` of the training sentences do not exceed."""
        lengths = [len(example.source) for example in self._training]
        return int(np.quantile(lengths, share, method="inverted_cdf"))

    def validation(self) -> list[Example]:
        """Every validation pair."""
        return list(self._validation)

    def test(self) -> list[Example]:
        """Every test pair."""
        return list(self._test)

    def notes(self) -> list[str]:
        """Pairs and pairs dropped, overlap of validation and test with training, vocabularies, unknown words."""
        return list(self._notes)

    def _example(self, pair: Pair) -> Example:
        source, target = self.source_vocabulary.encode(pair.source), self.target_vocabulary.encode(pair.target)
        return Example(source, target, reference=pair.reference)


class Passes(Examples):
    """Passes over examples; their place is the generator as it was before the present pass, and how far that is."""

    def __init__(self, examples: list[Example], generator: np.random.Generator, limit: Callable[[], int]) -> None:
        self._examples = examples
        self._shortest = min(len(example.source) for example in examples)
        self._generator = generator
        self._limit = limit
        self._before: dict[str, Any] | None = None
        self._order: list[int] = []
        self._at = 0

    def __next__(self) -> Example:
        while True:
            if self._at == len(self._order):
                self._start_pass()
            example = self._examples[self._order[self._at]]
            self._at += 1
            if len(example.source) <= self._limit():
                return example

    def _start_pass(self) -> None:
        if self._limit() < self._shortest:
            raise UserError(
                f"the curriculum allows {self._limit()} source words, and the shortest training sentence has "
                f"{self._shortest}; start the curriculum there"
            )
        self._before = dict(self._generator.bit_generator.state)
        self._order = self._generator.permutation(len(self._examples)).tolist()
        self._at = 0

    def state_dict(self) -> dict[str, Any]:
        return {"before": self._before, "at": self._at}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._before, self._at = state["before"], state["at"]
        if self._before is not None:
            again = np.random.default_rng()
            again.bit_generator.state = self._before
            self._order = again.permutation(len(self._examples)).tolist()


def stripped_lines(split: Split, language: str) -> list[str]:
    """The lines of one side without blanks around them."""
    return [(line or "").strip() for line in split.pairs[language][:]]


def _pairs(split: Split, source: str, target: str, lowercase: bool) -> list[Pair]:
    tokenize = Tokenizer13a()
    # A hub column may hold nulls: sides without words. Interned, a word is kept once, not at every occurrence.
    columns = [stripped_lines(split, language) for language in (source, target)]
    if lowercase:
        columns = [[line.lower() for line in column] for column in columns]
    return [
        Pair(tuple(map(intern, tokenize(s).split())), tuple(map(intern, tokenize(t).split())), t)
        for s, t in zip(*columns, strict=True)
    ]


def _kept(pairs: list[Pair], longest: int, split: Split) -> tuple[list[Pair], str]:
    """The pairs with 1 to `longest` words on both sides, and a sentence that counts the others."""
    worded = [pair for pair in pairs if pair.source and pair.target]
    kept = [pair for pair in worded if len(pair.source) <= longest and len(pair.target) <= longest]
    dropped = (
        f"dropped {len(worded) - len(kept)} with a side longer than task.longest={longest} words, "
        f"{len(pairs) - len(worded)} with a side without words"
    )
    if not kept:
        raise UserError(f"no training pair is left of {' and '.join(split.names.values())}: {dropped}")
    return kept, dropped


def _refuse_wordless(pairs: list[Pair], split: Split) -> None:
    for number, pair in enumerate(pairs, 1):
        for words, name in zip((pair.source, pair.target), split.names.values(), strict=True):
            if not words:
                raise UserError(f"{name}, line {number} has no words; remove this line from both languages")


def _vocabulary(sentences: Iterator[Words], minimum_frequency: int, name: str, lines: str) -> Vocabulary:
    counts = Counter(word for words in sentences for word in words)
    frequent = [word for word, count in counts.items() if count >= minimum_frequency]
    try:
        return Vocabulary(sorted(frequent, key=lambda word: (-counts[word], word)), lines)
    except UserError as error:
        raise UserError(f"{name}: {error}") from error


def _buckets(lengths: list[int]) -> tuple[tuple[int, int], ...]:
    """Adjoining ranges from 1 to the greatest of `lengths`, each with `FEWEST` of them where there are as many.

    A range with fewer joins its neighbour: BLEU of one or two sentences would look like a finding.
    """
    ranges: list[tuple[int, int]] = []
    low = 1
    for high in (10, 15, 20, 30, max(lengths)):
        if sum(low <= length <= high for length in lengths) >= FEWEST:
            ranges.append((low, high))
            low = high + 1
    first = ranges.pop()[0] if ranges else 1
    return (*ranges, (first, max(lengths)))


def _overlap(pairs: list[Pair], train: list[Pair]) -> str:
    """How many of `pairs` training has too: whole pairs, and sources whatever their translation."""
    whole, sources = {pair[:2] for pair in train}, {pair.source for pair in train}
    return (
        f"{sum(pair[:2] in whole for pair in pairs)} of them and {sum(pair.source in sources for pair in pairs)} "
        "of their sources are in training too"
    )


def _unknown(sentences: list[tuple[int, ...]]) -> str:
    ids = [index for sentence in sentences for index in sentence]
    return f"{ids.count(UNK) / len(ids):.1%}"
