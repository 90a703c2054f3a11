"""What the parts of the house promise each other. Read this first.

Shapes, one legend for the whole project:
**B** batch, **T** target length, **S** source length, **D** width, **H** heads, **V** vocabulary.

Attention is a soft lookup, and a fixed context is one choice of it::

    memory  = attention.prepare(annotations)            # once per source
    reading = attention(query, memory, history)         # at every target step, or for all of them at once

Nothing is stored on a module between two calls: memory, history and decoder state are arguments and
return values, so there is no order of calls to remember, and stepwise decoding (T = 1) and parallel
decoding (T = full) run the same code.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from softlookup.pharaoh import Gold
from softlookup.vocabulary import Vocabulary

# What a mechanism or a decoder carries from one target step to the next; every tensor is batch-first, so
# that a search can reorder hypotheses by indexing dimension 0 without knowing what is inside. For a mechanism an
# empty history is that of the first step.
History = dict[str, Tensor]


@dataclass(frozen=True)
class WordLinks:
    """Links between the words of a text and its translation, and the word that each token of both is part of: those of
    people (gold) and of a statistical aligner (silver), None where there are none."""

    source: tuple[int, ...]
    target: tuple[int, ...]
    gold: Gold | None
    silver: Gold | None


@dataclass(frozen=True)
class Example:
    """One source and its target, as ids without BOS and EOS.

    `sure[t]` is the set of gold source positions of target position t, `possible[t]` a superset of it
    (Och & Ney 2003). Both are empty tuples where the task has no gold alignment; a single empty set
    says that this target position comes from no source position. `reference` is the translation as
    people write it; it is set for text alone, and BLEU is measured where it is. `words` counts those of the source
    where tokens may be something else; `links` are gold of text, where a file has some.
    """

    source: tuple[int, ...]
    target: tuple[int, ...]
    sure: tuple[frozenset[int], ...] = ()
    possible: tuple[frozenset[int], ...] = ()
    reference: str | None = None
    links: WordLinks | None = None
    words: int | None = None

    @property
    def length(self) -> int:
        """The source length that results are told by: in words where they are counted, otherwise in tokens."""
        return len(self.source) if self.words is None else self.words


@dataclass(frozen=True)
class Batch:
    """Examples as tensors. Source and target both end with EOS; the decoder's input begins with BOS.

    source (B, S) ids, source_mask (B, S) true on real positions; inputs (B, T) ids from BOS on,
    target (B, T) ids to EOS, target_mask (B, T). Row b is `examples[b]`, which holds the gold.
    """

    source: Tensor
    source_mask: Tensor
    inputs: Tensor
    target: Tensor
    target_mask: Tensor
    examples: tuple[Example, ...]

    def to(self, device: torch.device) -> Batch:
        """The same batch with its tensors on `device`."""
        moved: dict[str, Any] = {k: v.to(device) for k, v in vars(self).items() if isinstance(v, Tensor)}
        return replace(self, **moved)


@dataclass(frozen=True)
class Annotations:
    """What an encoder made of a source: states (B, S, D), mask (B, S) true on real positions, final (B, F)."""

    states: Tensor
    mask: Tensor
    final: Tensor


@dataclass(frozen=True)
class Widths:
    """What an attention is built for: the widths of the queries, of the annotations and of the final state."""

    query: int
    annotation: int
    final: int


@dataclass(frozen=True)
class Memory:
    """What attention reads, made once per source.

    keys (B, S, K), values (B, S, D), mask (B, S) true on real positions; with several heads keys and
    values are (B, H, S, ·). A fixed context is a memory of one position.
    """

    keys: Tensor
    values: Tensor
    mask: Tensor

    def rows(self, index: Tensor) -> Memory:
        """The memory of these rows (N,), in this order: what a search asks for when its hypotheses change."""
        return replace(self, **{name: value[index] for name, value in vars(self).items()})


@dataclass(frozen=True)
class View:
    """What a window lets queries see.

    mask (B, T or 1, S), true where a query may look; factor (B, T, S), the share that each weight keeps, None where
    all of them keep all; the next history.
    """

    mask: Tensor
    factor: Tensor | None = None
    history: History = field(default_factory=dict)

    def narrow(self, weights: Tensor) -> Tensor:
        """The weights (..., T, S), each times its factor."""
        return weights if self.factor is None else weights * self.factor

    def for_heads(self) -> View:
        """The same view for every head: mask and factor are (B, 1, ·, S)."""
        return replace(
            self, mask=self.mask.unsqueeze(1), factor=None if self.factor is None else self.factor.unsqueeze(1)
        )


@dataclass(frozen=True)
class Reading:
    """One lookup: context (B, T, D); weights (B, T, S), or None where no weights exist; the next history."""

    context: Tensor
    weights: Tensor | None
    history: History = field(default_factory=dict)


@dataclass(frozen=True)
class Decoded:
    """Decoder output: readout (B, T, R) ahead of the output layer, weights (B, T, S) or None, next state."""

    readout: Tensor
    weights: Tensor | None
    state: History


class Score(nn.Module, ABC):
    """Similarity of queries and keys. Built with the widths of both; `prepare` projects keys once per source.

    `reach` is None for a score that looks at content alone: permuting the keys permutes its scores. A score that tells
    positions apart by their place has numbers for so many of them; what stands behind gets no weight.
    """

    reach: int | None = None

    def __init__(self, query_width: int, key_width: int) -> None:
        super().__init__()
        self.query_width = query_width
        self.key_width = key_width

    def prepare(self, annotations: Tensor) -> Tensor:
        """Annotations (..., S, D) to keys (..., S, K); the identity unless a score projects them."""
        return annotations

    def reached(self, mask: Tensor) -> Tensor:
        """mask (B, S) true on real positions → true on those that this score has numbers for."""
        if self.reach is None:
            return mask
        return mask & (torch.arange(mask.size(-1), device=mask.device) < self.reach)

    @abstractmethod
    def forward(self, query: Tensor, keys: Tensor) -> Tensor:
        """query (..., T, Q), keys (..., S, K) → scores (..., T, S)."""


class Normalizer(nn.Module, ABC):
    """Scores to weights: zero outside the mask; a fully masked row is all zero, with finite gradients.

    `row_sum` is what every row with a real position sums to, None where a normalizer leaves that free.
    """

    row_sum: float | None = 1.0

    @abstractmethod
    def forward(self, scores: Tensor, mask: Tensor) -> Tensor:
        """scores (..., T, S), mask broadcastable to it, true on real positions → weights (..., T, S)."""


class Window(nn.Module, ABC):
    """Which positions each query may look at, and what share of its weight each of them keeps.

    Built with the width of the queries. All heads of an attention look through one window.
    """

    @abstractmethod
    def forward(self, query: Tensor, mask: Tensor, history: History) -> View:
        """query (B, T, Q), mask (B, S) true on real positions → what each query sees, and the next history."""


class Attention(nn.Module, ABC):
    """A way to read a source: soft lookups and fixed contexts alike. `width` is the width of its context.

    `merges` says that its context has been through an output projection of its own, and is as wide as the query.
    """

    width: int
    merges: bool = False

    @abstractmethod
    def prepare(self, annotations: Annotations) -> Memory:
        """What `forward` reads, made once per source."""

    @abstractmethod
    def forward(self, query: Tensor, memory: Memory, history: History) -> Reading:
        """query (B, T, Q) → context (B, T, width), weights and the next history."""


class Encoder(nn.Module, ABC):
    """Source ids to annotations. `width` and `final_width` are the widths of its states and its final state."""

    embedding: nn.Embedding
    width: int
    final_width: int

    @abstractmethod
    def forward(self, source: Tensor, mask: Tensor) -> Annotations:
        """source (B, S) ids, mask (B, S) true on real positions. Padding changes nothing on real positions."""

    def recurrent_blocks(self) -> Iterator[Tensor]:
        """The square matrices by which its states reach their next, one per gate, layer and direction; views of its
        weights. None unless it is recurrent."""
        yield from ()


class Decoder(nn.Module, ABC):
    """Target ids and a memory to readouts. `width` is that of the readout."""

    embedding: nn.Embedding
    width: int

    @abstractmethod
    def prepare(self, annotations: Annotations) -> tuple[Memory, History]:
        """The memory that its attention reads, and the state before the first step."""

    @abstractmethod
    def forward(self, inputs: Tensor, memory: Memory, state: History) -> Decoded:
        """inputs (B, T) ids of the previous tokens, from BOS on. T may be one step or the whole target."""

    def recurrent_blocks(self) -> Iterator[Tensor]:
        """The square matrices by which its states reach their next, as those of an encoder."""
        yield from ()


class Role(Enum):
    """What a weight does in a model, as far as the papers draw their first weights by it.

    A recurrent one is a square block by which a state reaches its next. Those of alignment are a score's: matrices, and
    the vector that makes a number of a hidden layer. Every other weight is an embedding, a bias or a matrix.
    """

    MATRIX = auto()
    BIAS = auto()
    EMBEDDING = auto()
    RECURRENT = auto()
    ALIGNMENT = auto()
    ALIGNMENT_VECTOR = auto()


class Initialization(ABC):
    """First weights by one rule for the whole model, in place of what its parts have drawn."""

    @abstractmethod
    def draw(self, role: Role, weight: Tensor) -> None:
        """Fill a weight in place, by torch's generator. Gradients are off."""


class Examples(Iterator[Example], ABC):
    """Training examples without end, whose place can be written down and taken up again.

    `state_dict` gives plain values (numbers, text, lists, dicts). It says nothing of the generator that the examples
    are drawn with, whose state is kept by whoever owns it.
    """

    @abstractmethod
    def state_dict(self) -> dict[str, Any]: ...

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class Task(ABC):
    """Where examples come from. Source lengths count tokens without EOS.

    `lengths` are the shortest and the longest source length of training; `buckets` are the inclusive ranges of
    `Example.length` by which test results are reported. `target_language` is the code of the target's, for metrics
    that split words as a language does.
    """

    source_vocabulary: Vocabulary
    target_vocabulary: Vocabulary
    lengths: tuple[int, int]
    buckets: tuple[tuple[int, int], ...]
    target_language: str = "en"

    @property
    def trained(self) -> int:
        """The longest source of training as `Example.length` counts."""
        return self.lengths[1]

    @abstractmethod
    def training(self, generator: np.random.Generator, limit: Callable[[], int]) -> Examples:
        """Endless training examples no longer than `limit()`, which is asked anew for each; all randomness
        comes from `generator`. None of them is in the validation or the test set."""

    @abstractmethod
    def validation(self) -> list[Example]:
        """The fixed validation set: training lengths, the same for every seed of a run."""

    @abstractmethod
    def test(self) -> list[Example]:
        """The fixed test set: every bucket, the same for every seed of a run."""

    def notes(self) -> list[str]:
        """What a person should know of the data before training: counts, sentences dropped, overlap."""
        return []

    def quantile(self, share: float) -> int:
        """The source length that `share` (0 to 1) of the training examples do not exceed.

        Lengths are taken as uniform unless a task knows better.
        """
        shortest, longest = self.lengths
        return shortest + round(share * (longest - shortest))


class Segmentation(ABC):
    """How the text of two languages becomes tokens."""

    @abstractmethod
    def learn(
        self, pairs: Iterable[tuple[str, str]], names: tuple[str, str], longest: int
    ) -> tuple[Vocabulary, Vocabulary]:
        """The vocabularies of both sides, from the training pairs, which can be gone through more than once.

        `names` say where the sides come from, for errors. Training will use pairs of 1 to `longest` tokens a side; a
        segmentation that knows its tokens beforehand learns from those alone. Raises UserError for text without any
        token to learn.
        """


class Curriculum(ABC):
    """The longest source length that training may show, as the run goes on. Built for one task."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.shortest, self.longest = task.lengths

    @abstractmethod
    def length(self, progress: float) -> int:
        """The limit at `progress`, the share of the target-token budget that was seen (0 to 1)."""

    def observe(self, progress: float, accuracy: dict[int, float]) -> None:  # noqa: B027 - most do not listen
        """Hear the validation token accuracy by source length, measured at `progress`."""

    def state_dict(self) -> dict[str, Any]:
        """What `observe` has changed, as plain values; nothing for those that do not listen."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027
        """Take up what `state_dict` gave."""


class Optimizer(ABC):
    """How a gradient becomes a step: `rate` is the learning rate where a schedule's factor is 1, and gradients are
    clipped to the norm `clip` (None: not at all)."""

    rate: float
    clip: float | None

    @abstractmethod
    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """torch's optimizer of these parameters."""


class Schedule(ABC):
    """How the learning rate moves as the run goes on: rate · factor."""

    @abstractmethod
    def factor(self, progress: float, step: int) -> float:
        """The share of the rate for update `step` (1 for the first), with the share `progress` of the budget seen."""
