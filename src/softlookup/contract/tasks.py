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
    """Training examples without end, whose place can be written down and taken up again.

    `state_dict` gives plain values (numbers, text, lists, dicts). It says nothing of the generator that the examples
    are drawn with, whose state is kept by whoever owns it.
    """

    def between_passes(self) -> bool:
        """Return whether the next example begins a pass over a corpus: it is the first, or all that are short enough
        for the present limit were given since the pass began. Never where there is no corpus to pass over."""
        return False

    @abstractmethod
    def state_dict(self) -> dict[str, Any]: ...

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class Exam(ABC):
    """Provide the examples that a model is tested on. Source lengths count tokens without EOS.

    `lengths` are the shortest and the longest source length of its training; `buckets` are the inclusive ranges of
    `Example.length` by which test results are reported. They are in `length_unit`: tokens, words or
    characters. `splitting` says how the target's text is split, for metrics of words. `data`
    are the digests of what the task has read.
    """

    source_vocabulary: Vocabulary
    target_vocabulary: Vocabulary
    lengths: tuple[int, int]
    buckets: tuple[tuple[int, int], ...]
    length_unit: str
    splitting: Splitting
    data: Mapping[str, str] = MappingProxyType({})

    @classmethod
    def digests(cls, config: Mapping[str, Any]) -> dict[str, str]:  # noqa: ARG003 - most read nothing
        """Return the SHA-256 of everything that a task of this config reads, by name; `data` of the task is equal."""
        return {}

    @abstractmethod
    def test(self) -> list[Example]:
        """Return the test set, always the same. An example that comes twice in it is two objects."""


class Task(Exam):
    """Provide examples: those of training, without end, and those held out from it."""

    group: ClassVar[Group] = Group("task")

    @property
    def trained(self) -> int:
        """Return the longest source of training as `Example.length` counts."""
        return self.lengths[1]

    def may_show(self, example: Example) -> bool:
        """Return whether training may show an example of such lengths."""
        return len(example.source) <= self.lengths[1]

    @abstractmethod
    def training(self, generator: np.random.Generator, limit: Callable[[], int]) -> Examples:
        """Endless training examples no longer than `limit()`, which is asked anew for each; all randomness
        comes from `generator`. None of them is in the validation or the test set."""

    @abstractmethod
    def validation(self) -> list[Example]:
        """Return the fixed validation set: training lengths, the same for every seed of a run."""

    @abstractmethod
    def test(self) -> list[Example]:
        """Return the fixed test set: every bucket, the same for every seed of a run."""

    def notes(self) -> list[str]:
        """Return what a person should know of the data before training: counts, sentences dropped, overlap."""
        return []

    def quantile(self, share: float) -> int:
        """Return the source length that `share` (0 to 1) of the training examples do not exceed.

        Lengths are taken as uniform unless a task knows better.
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
        """Return the vocabularies of both sides, from the training pairs, which can be gone through more than once.

        `names` say where the sides come from, for errors. Training will use pairs of 1 to `longest` tokens a side; a
        segmentation that knows its tokens beforehand learns from those alone. Raises UserError for text without any
        token to learn.
        """


class Curriculum(ABC):
    """The longest source length that training may show, as the run goes on. Built for one task.

    `follows_budget` says that the length depends on the share of the budget, or on what was observed.
    """

    group: ClassVar[Group] = Group("curriculum", ("task",))
    follows_budget: bool = True

    def __init__(self, task: Task) -> None:
        self.task = task
        self.shortest, self.longest = task.lengths

    @abstractmethod
    def length(self, progress: float) -> int:
        """Return the limit at `progress`, the share of the target-token budget that was seen (0 to 1)."""

    def observe(self, progress: float, accuracy: dict[int, float]) -> None:  # noqa: B027 - most do not listen
        """Hear the validation token accuracy by source length, measured at `progress`."""

    def state_dict(self) -> dict[str, Any]:
        """Return what `observe` has changed, as plain values; nothing for those that do not listen."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027
        """Take up what `state_dict` gave."""
