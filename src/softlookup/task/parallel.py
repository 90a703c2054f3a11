"""Parallel text: translation from sentence pairs."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from softlookup.contract import Example, Examples, Segmentation, Task
from softlookup.errors import UserError
from softlookup.task.lines import Split, read_folder, read_hub
from softlookup.vocabulary import UNK
from softlookup.words import forget, words

FEWEST = 20  # test sentences in a bucket
Pair = tuple[str, str]  # a sentence and its translation, as people wrote them


class Parallel(Task):
    """Translation of line-aligned text, `source` to `target` (language codes).

    Read from `path`, a folder (`task.lines.read_folder` says which files), or where it is None from `dataset` on
    the Hugging Face hub. What a token is says `segmentation`, which learns both vocabularies from the training text.

    A training pair with a side longer than `longest` tokens, or without any, is dropped and counted in `notes`.
    Validation and test are kept whole: there a long sentence stays and a side without words is an error. Pairs of
    theirs that training has too, whatever the case and the blanks, are left in, since the sets are those of the
    published figures, and counted too.

    References are the translations as people wrote them, without blanks around. `buckets` are ranges of source words
    (sacrebleu's 13a), whatever the segmentation, so that figures by length can be laid beside each other; `lengths`
    are in tokens of the segmentation. There are no gold alignments.

    Raises UserError for data that cannot be read and for settings that leave nothing.
    """

    def __init__(
        self,
        path: str | None,
        dataset: str,
        source: str,
        target: str,
        segmentation: Segmentation,
        longest: int,
    ) -> None:
        if source == target:
            raise UserError(f"task.source and task.target are both {source}; give two languages")
        if longest < 1:
            raise UserError(f"task.longest={longest}: expected 1 or more")
        splits = (
            read_hub(dataset, source, target) if path is None else read_folder(Path(path).expanduser(), source, target)
        )
        pairs = {name: _pairs(split, source, target) for name, split in splits.items()}
        names = splits["train"].names
        vocabularies = segmentation.learn(pairs["train"], (names[source], names[target]), longest)
        self.source_vocabulary, self.target_vocabulary = vocabularies
        self.target_language = target
        self._training, dropped = _kept([self._example(pair) for pair in pairs["train"]], longest, splits["train"])
        self._validation, self._test = (
            [self._measured(pair, number, splits[name]) for number, pair in enumerate(pairs[name], 1)]
            for name in ("validation", "test")
        )
        forget()
        lengths = [len(example.source) for example in self._training]
        self.lengths = (min(lengths), max(lengths))
        self.buckets = _buckets([example.length for example in self._test])
        self._notes = [
            f"train: {len(self._training)} pairs {source} → {target}; {dropped}",
            f"validation: {len(self._validation)} pairs; {_overlap(pairs['validation'], pairs['train'])}",
            f"test: {len(self._test)} pairs; {_overlap(pairs['test'], pairs['train'])}",
            f"vocabulary: {source} {len(self.source_vocabulary)}, {target} {len(self.target_vocabulary)}; unknown "
            f"words of test: {source} {_unknown([e.source for e in self._test])}, "
            f"{target} {_unknown([e.target for e in self._test])}",
        ]

    def training(self, generator: np.random.Generator, limit: Callable[[], int]) -> Examples:
        """Endless passes over the training pairs, each in a fresh order.

        In one pass every pair whose source has at most `limit()` tokens comes exactly once. The limit is asked at
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
        source, target = self.source_vocabulary.read(pair[0]), self.target_vocabulary.read(pair[1])
        return Example(source, target, reference=pair[1])

    def _measured(self, pair: Pair, number: int, split: Split) -> Example:
        """An example of validation or test. Raises UserError where a side of it, at line `number`, has no words."""
        example = self._example(pair)
        for tokens, name in zip((example.source, example.target), split.names.values(), strict=True):
            if not tokens:
                raise UserError(f"{name}, line {number} has no words; remove this line from both languages")
        return replace(example, words=len(words(pair[0])))


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
                f"the curriculum allows {self._limit()} source tokens, and the shortest training sentence has "
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


def _pairs(split: Split, source: str, target: str) -> list[Pair]:
    # A hub column may hold nulls: sides without words.
    columns = [[(line or "").strip() for line in split.pairs[language][:]] for language in (source, target)]
    return list(zip(*columns, strict=True))


def _kept(examples: list[Example], longest: int, split: Split) -> tuple[list[Example], str]:
    """The examples with 1 to `longest` tokens on both sides, and a sentence that counts the others."""
    worded = [example for example in examples if example.source and example.target]
    kept = [example for example in worded if len(example.source) <= longest and len(example.target) <= longest]
    dropped = (
        f"dropped {len(worded) - len(kept)} with a side longer than task.longest={longest} tokens, "
        f"{len(examples) - len(worded)} with a side without words"
    )
    if not kept:
        raise UserError(f"no training pair is left of {' and '.join(split.names.values())}: {dropped}")
    return kept, dropped


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
    whole = {tuple(map(_squeezed, pair)) for pair in train}
    sources = {source for source, _ in whole}
    return (
        f"{sum(tuple(map(_squeezed, pair)) in whole for pair in pairs)} of them and "
        f"{sum(_squeezed(source) in sources for source, _ in pairs)} of their sources are in training too"
    )


def _squeezed(text: str) -> str:
    return " ".join(text.lower().split())


def _unknown(sentences: list[tuple[int, ...]]) -> str:
    ids = [index for sentence in sentences for index in sentence]
    return f"{ids.count(UNK) / len(ids):.1%}"
