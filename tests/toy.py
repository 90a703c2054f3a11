"""A minimal task: the target is the reversed source."""

from collections.abc import Callable
from typing import Any

import numpy as np

from softlookup.contract import Example, Examples, Task
from softlookup.text.languages import Splitting
from softlookup.text.vocabulary import Vocabulary


class Toy(Task):
    """Generate sources of 2 to 13 tokens from a vocabulary of seven; evaluation examples have fixed seeds."""

    source_vocabulary = target_vocabulary = Vocabulary("abcdefg")
    lengths = (2, 13)
    length_unit = "tokens"
    splitting = Splitting()
    buckets = ((2, 13),)

    def training(self, generator: np.random.Generator, limit: Callable[[], int]) -> Examples:
        return ToyExamples(self, generator, limit)

    def validation(self) -> list[Example]:
        generator = np.random.default_rng(5)
        return [self.draw(generator, length) for length in (3, 7, 2, 13, 5, 3, 11)]

    def test(self) -> list[Example]:
        return self.validation()

    def draw(self, generator: np.random.Generator, length: int) -> Example:
        source = tuple(int(token) for token in generator.integers(4, len(self.source_vocabulary), length))
        gold = tuple(frozenset({length - 1 - t}) for t in range(length))
        return Example(source, source[::-1], gold, gold)


class ToyExamples(Examples):
    """Iterate over examples; the generator is their only state."""

    def __init__(self, toy: Toy, generator: np.random.Generator, limit: Callable[[], int]) -> None:
        self.toy, self.generator, self.limit = toy, generator, limit

    def __next__(self) -> Example:
        return self.toy.draw(self.generator, int(self.generator.integers(self.toy.lengths[0], self.limit() + 1)))

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        assert state == {}
