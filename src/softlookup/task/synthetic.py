"""Define synthetic tasks: endless sampled training examples, fixed held-out sets, and gold for every position."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from operator import length_hint
from string import ascii_lowercase
from typing import Any

import numpy as np

from softlookup.contract import Example, Examples, Task
from softlookup.errors import UserError
from softlookup.text.languages import Splitting
from softlookup.text.vocabulary import SPECIALS, Vocabulary

Uniform = Callable[[], float]

FIRST = len(SPECIALS)  # id of the first token that is not special
HELD_OUT_SEED = 20140901
UNSEEN_SEED = 20150517
VALIDATION = 200  # examples, rounded up to the same number for every training length
GRID = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0)  # test lengths as multiples of the longest training length


class Uniforms:
    """Uniform numbers in [0, 1), one for each call of `draw`.

    They are generated in blocks, since a call of the generator per number is many times slower; `left` are the unused
    numbers of the current block.
    """

    def __init__(self, generator: np.random.Generator, left: Sequence[float] = ()) -> None:
        self._generator = generator
        self._block = list(left)
        self._rest = iter(self._block)
        self.draw: Uniform = self._stream().__next__

    @property
    def left(self) -> list[float]:
        return self._block[len(self._block) - length_hint(self._rest) :]

    def _stream(self) -> Iterator[float]:
        while True:
            yield from self._rest
            self._block = self._generator.random(2048).tolist()
            self._rest = iter(self._block)


def letters(count: int) -> list[str]:
    """Return readable names for `count` symbols: a to z, or s0, s1, … where the alphabet is too short."""
    return list(ascii_lowercase[:count]) if count <= len(ascii_lowercase) else [f"s{i}" for i in range(count)]


@cache
def only(position: int) -> frozenset[int]:
    """Return a set of one source position, cached so that examples share the objects."""
    return frozenset((position,))


class Synthetic(Task):
    """Endless training examples by rejection sampling: sources in the validation or test set are drawn again.

    A subclass implements `sample`, and sets the attributes that `sample` needs before it calls this constructor.
    Validation has the same number of examples for every training length, the test set `per_bucket` for every bucket,
    spread evenly over its lengths; their sources are distinct and do not depend on the seed of a run. Raises UserError
    for lengths out of order, and where more than half of the sources of a length would be held out.
    """

    length_unit = "tokens"
    splitting = Splitting()

    def __init__(
        self,
        source_tokens: Iterable[str],
        target_tokens: Iterable[str],
        lengths: tuple[int, int],
        buckets: Sequence[tuple[int, int]],
        per_bucket: int,
    ) -> None:
        shortest, longest = lengths
        if not 1 <= shortest <= longest:
            raise UserError(
                f"task.shortest={shortest} task.longest={longest}: expected at least 1, and shortest up to longest"
            )
        self.source_vocabulary = Vocabulary(source_tokens)
        self.target_vocabulary = Vocabulary(target_tokens)
        self.lengths = lengths
        self.buckets = tuple(buckets)
        span = longest - shortest + 1
        validation = [shortest + i % span for i in range(span * math.ceil(VALIDATION / span))]
        test = [low + i % (high - low + 1) for low, high in self.buckets for i in range(per_bucket)]
        self._check_room(Counter(validation) + Counter(test))
        uniform = Uniforms(np.random.default_rng(HELD_OUT_SEED)).draw
        self._held_out: set[tuple[int, ...]] = set()
        self._validation = self._hold_out(uniform, validation)
        self._test = self._hold_out(uniform, test)

    @abstractmethod
    def sample(self, uniform: Uniform, length: int) -> Example:
        """Return a random example with exactly `length` source tokens; all randomness comes from `uniform`."""

    def sources(self, length: int) -> float:  # noqa: ARG002 - used in subclasses
        """Return the number of possible sources of this length; infinite if there are always enough."""
        return math.inf

    def training(self, generator: np.random.Generator, limit: Callable[[], int]) -> Examples:
        """Return endless examples with source lengths uniform from the shortest to `limit()`, which is clamped to the
        training lengths."""
        return Fresh(self, generator, limit)

    def validation(self) -> list[Example]:
        return list(self._validation)

    def test(self) -> list[Example]:
        return list(self._test)

    def notes(self) -> list[str]:
        return [f"held out from training: {len(self._validation)} validation and {len(self._test)} test examples"]

    def unseen(self, length: int, count: int) -> list[Example]:
        """Return up to `count` test examples of a length that training never shows; deterministic.

        Training may show any source of its lengths except those held out. For a training length the result is therefore
        the held-out examples, test set first, then validation, even if there are fewer than `count`. For greater
        lengths, new examples are drawn, with distinct sources that are not held out. Raises UserError for lengths below
        those of training, and where there are fewer than 2 · `count` sources.
        """
        shortest, longest = self.lengths
        if length < shortest:
            raise UserError(f"length {length}: the shortest sources of this task have {shortest} tokens")
        if length <= longest:
            return [e for e in (*self._test, *self._validation) if len(e.source) == length][:count]
        if 2 * count > self.sources(length):
            raise UserError(
                f"length {length}: this task has {self.sources(length)} sources of it, and {count} of them would be "
                "drawn; give a smaller length"
            )
        uniform = Uniforms(np.random.default_rng([UNSEEN_SEED, length])).draw
        found: dict[tuple[int, ...], Example] = {}
        while len(found) < count:
            example = self.fresh(uniform, length)
            found.setdefault(example.source, example)
        return list(found.values())

    def fresh(self, uniform: Uniform, length: int) -> Example:
        """Return a random example of this length whose source is not held out."""
        while True:
            example = self.sample(uniform, length)
            if example.source not in self._held_out:
                return example

    def _hold_out(self, uniform: Uniform, lengths: Sequence[int]) -> list[Example]:
        examples = []
        for length in lengths:
            examples.append(self.fresh(uniform, length))
            self._held_out.add(examples[-1].source)
        return examples

    def _check_room(self, wanted: Counter[int]) -> None:
        for length, count in sorted(wanted.items()):
            if 2 * count > self.sources(length):
                raise UserError(
                    f"there are only {self.sources(length)} sources of {length} tokens, and validation and test would "
                    f"hold {count} of them out; raise task.shortest or the number of symbols"
                )


class Fresh(Examples):
    """Training examples of a synthetic task; the state is the rest of a block of random numbers."""

    def __init__(self, task: Synthetic, generator: np.random.Generator, limit: Callable[[], int]) -> None:
        self._task = task
        self._generator = generator
        self._limit = limit
        self._uniforms = Uniforms(generator)

    def __next__(self) -> Example:
        uniform = self._uniforms.draw
        shortest, longest = self._task.lengths
        length = shortest + int(uniform() * (max(shortest, min(self._limit(), longest)) - shortest + 1))
        return self._task.fresh(uniform, length)

    def state_dict(self) -> dict[str, Any]:
        return {"left": self._uniforms.left}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._uniforms = Uniforms(self._generator, state["left"])


class Strings(Synthetic):
    """Sources of independent, uniform symbols; the target is a function of the source, implemented by `example`.

    The test lengths are 1/2, 1, 3/2, 2, 3 and 4 times `longest`, 64 examples each.
    """

    def __init__(self, source_tokens: Sequence[str], target_tokens: Sequence[str], shortest: int, longest: int) -> None:
        self._symbols = len(source_tokens)
        grid = sorted({max(shortest, int(longest * factor)) for factor in GRID})
        buckets = [(length, length) for length in grid]
        super().__init__(source_tokens, target_tokens, (shortest, longest), buckets, per_bucket=64)

    @abstractmethod
    def example(self, source: tuple[int, ...]) -> Example:
        """Return the example with this source."""

    def draw(self, uniform: Uniform, length: int) -> tuple[int, ...]:
        """Return a random source."""
        count = self._symbols
        return tuple([FIRST + int(uniform() * count) for _ in range(length)])

    def sample(self, uniform: Uniform, length: int) -> Example:
        return self.example(self.draw(uniform, length))

    def sources(self, length: int) -> float:
        return self._symbols**length


class Permutation(Strings):
    """The target has the symbols of the source in an order that depends only on the length.

    Target position t comes from source position `order(S)[t]`, which is its sure and possible gold.
    """

    def __init__(self, symbols: int, shortest: int, longest: int) -> None:
        self._orders: dict[int, tuple[Sequence[int], tuple[frozenset[int], ...]]] = {}
        super().__init__(letters(symbols), letters(symbols), shortest, longest)

    @abstractmethod
    def order(self, length: int) -> Sequence[int]:
        """Return a permutation of the source positions 0 to `length` - 1."""

    def example(self, source: tuple[int, ...]) -> Example:
        length = len(source)
        if length not in self._orders:
            order = self.order(length)
            self._orders[length] = order, tuple(map(only, order))
        order, gold = self._orders[length]
        return Example(source, tuple([source[s] for s in order]), gold, gold)
