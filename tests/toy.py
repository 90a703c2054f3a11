"""The smallest task: the target is the source, reversed."""

from collections.abc import Callable, Iterator

import numpy as np

from softlookup.contract import Example, Task
from softlookup.vocabulary import Vocabulary


class Toy(Task):
    """Sources of 2 to 13 tokens out of seven; evaluation examples have fixed seeds."""

    source_vocabulary = target_vocabulary = Vocabulary("abcdefg")
    lengths = (2, 13)
    buckets = ((2, 13),)

    def training(self, generator: np.random.Generator, limit: Callable[[], int]) -> Iterator[Example]:
        while True:
            yield self._draw(generator, int(generator.integers(self.lengths[0], limit() + 1)))

    def validation(self) -> list[Example]:
        generator = np.random.default_rng(5)
        return [self._draw(generator, length) for length in (3, 7, 2, 13, 5, 3, 11)]

    def test(self) -> list[Example]:
        return self.validation()

    def _draw(self, generator: np.random.Generator, length: int) -> Example:
        source = tuple(int(token) for token in generator.integers(4, len(self.source_vocabulary), length))
        gold = tuple(frozenset({length - 1 - t}) for t in range(length))
        return Example(source, source[::-1], gold, gold)
