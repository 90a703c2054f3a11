"""Define the interfaces of tasks, segmentations and curricula."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from softlookup.contract.examples import Example
from softlookup.group import Group
from softlookup.text.languages import Splitting
from softlookup.text.vocabulary import Vocabulary


class Examples(Iterator[Example], ABC):
    """Endless training examples, resumable from a saved state.

    `state_dict` returns plain values (numbers, text, lists, dicts). It does not include the state of the random
    generator, which its owner saves.
    """

    def between_passes(self) -> bool:
        """Return whether the next example begins a pass over a corpus: it is the first one, or all examples within the
        current length limit were returned since the pass began. Always False for tasks without a corpus."""
        return False

    @abstractmethod
    def state_dict(self) -> dict[str, Any]: ...

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class Exam(ABC):
    """Provide the test set of a model. Source lengths count tokens without EOS.

    `lengths` are the shortest and the longest source length in training; `buckets` are the inclusive ranges of
    `Example.length` by which test results are reported, in `length_unit`: tokens, words or characters. `splitting` says
    how the target's text is split into words for metrics. `data` has the digests of everything the task has read.
    """

    source_vocabulary: Vocabulary
    target_vocabulary: Vocabulary
    lengths: tuple[int, int]
    buckets: tuple[tuple[int, int], ...]
    length_unit: str
    splitting: Splitting
    data: Mapping[str, str] = MappingProxyType({})

    @classmethod
    def digests(cls, arguments: Mapping[str, Any]) -> dict[str, str]:  # noqa: ARG003 - most tasks read no files
        """Return the SHA-256 of all data that a task with these arguments reads, by name; equal to its `data`."""
        return {}

    @abstractmethod
    def test(self) -> list[Example]:
        """Return the test set, always the same. Equal examples in it are distinct objects."""


class Task(Exam):
    """Provide endless training examples, and the validation and test sets held out from them."""

    group: ClassVar[Group] = Group("task")

    @property
    def trained(self) -> int:
        """Return the longest training source in the unit of `Example.length`."""
        return self.lengths[1]

    def may_show(self, example: Example) -> bool:
        """Return whether training may show an example with these lengths."""
        return len(example.source) <= self.lengths[1]

    @abstractmethod
    def training(self, generator: np.random.Generator, limit: Callable[[], int]) -> Examples:
        """Return endless training examples with sources of at most `limit()` tokens; the limit is evaluated for each
        example. All randomness comes from `generator`. Validation and test examples are excluded."""

    @abstractmethod
    def validation(self) -> list[Example]:
        """Return the fixed validation set, with training lengths; the same for every seed of a run."""

    @abstractmethod
    def test(self) -> list[Example]:
        """Return the fixed test set, with all buckets; the same for every seed of a run."""

    def notes(self) -> list[str]:
        """Return notes on the data to print before training: counts, dropped sentences, overlap."""
        return []

    def quantile(self, share: float) -> int:
        """Return the source length that `share` (0 to 1) of the training examples do not exceed.

        The default assumes uniformly distributed lengths.
        """
        shortest, longest = self.lengths
        return shortest + round(share * (longest - shortest))


class Segmentation(ABC):
    """Segment the text of two languages into tokens."""

    group: ClassVar[Group] = Group("segmentation")

    @abstractmethod
    def learn(
        self, pairs: Iterable[tuple[str, str]], names: tuple[str, str], longest: int
    ) -> tuple[Vocabulary, Vocabulary]:
        """Learn the vocabularies of both sides from the training pairs, which can be iterated over more than once.

        `names` are the origins of the sides, for error messages. Training uses pairs with 1 to `longest` tokens per
        side; a segmentation whose tokens are known before learning uses only those pairs. Raises UserError for text
        without any token to learn.
        """


class Curriculum(ABC):
    """Limit the source length of training examples over the course of a run. Built for one task.

    `follows_budget` says that the limit depends on the consumed share of the budget, or on observed accuracy.
    """

    group: ClassVar[Group] = Group("curriculum", ("task",))
    follows_budget: bool = True

    def __init__(self, task: Task) -> None:
        self.task = task
        self.shortest, self.longest = task.lengths

    @abstractmethod
    def length(self, progress: float) -> int:
        """Return the limit at `progress`, the share of the target-token budget consumed so far (0 to 1)."""

    def observe(self, progress: float, accuracy: dict[int, float]) -> None:  # noqa: B027 - most ignore accuracy
        """Receive the validation token accuracy by source length, measured at `progress`."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state that `observe` changes, as plain values; empty for curricula that ignore accuracy."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027
        """Restore the state that `state_dict` returned."""
