"""Define the interfaces of the parts of a model, and the tensors that pass between them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

# Tensors that an attention or a decoder carries from one target step to the next, by name. Every tensor is
# batch-first: a search reorders hypotheses by indexing dimension 0. An attention's history is empty at the first step.
History = dict[str, Tensor]

# fixed: the same context at every target step, and no weights; lookup: weights over the source positions; weightless: a
# context that follows the query, with no weights over the source positions.
Kind = Literal["fixed", "lookup", "weightless"]


@dataclass(frozen=True)
class Annotations:
    """Hold the output of an encoder: states (B, S, D), mask (B, S) true on real positions, final (B, F)."""

    states: Tensor
    mask: Tensor
    final: Tensor


@dataclass(frozen=True)
class Widths:
    """Hold the widths that an attention is built for: of the queries, of the annotations and of the final state."""

    query: int
    annotation: int
    final: int


@dataclass(frozen=True)
class Memory:
    """Hold what an attention reads, made once per source. Nobody but that attention knows what is inside.

    Each kind is a frozen dataclass of batch-first tensors, of memories, and of tuples of either.
    """

    def rows(self, index: Tensor) -> Self:
        """Return the memory of these rows (N,), in this order: a search asks for it when its hypotheses change."""
        return replace(self, **{name: _rows(value, index) for name, value in vars(self).items()})

    @property
    def bytes(self) -> int:
        """Return how many bytes its tensors hold."""
        return sum(map(_bytes, vars(self).values()))


def _rows(value: Any, index: Tensor) -> Any:
    if isinstance(value, tuple):
        return tuple(_rows(part, index) for part in value)
    return value.rows(index) if isinstance(value, Memory) else value[index]


def _bytes(value: Any) -> int:
    if isinstance(value, tuple):
        return sum(map(_bytes, value))
    return value.bytes if isinstance(value, Memory) else value.numel() * value.element_size()


@dataclass(frozen=True)
class KeysAndValues(Memory):
    """Hold keys (B, S, K), values (B, S, D) and mask (B, S), true on real positions, for a lookup.

    With several heads keys and values are (B, H, S, ·).
    """

    keys: Tensor
    values: Tensor
    mask: Tensor


@dataclass(frozen=True)
class View:
    """Hold the positions that a window lets queries see.

    mask (B, T or 1, S), true where a query may look; factor (B, T, S), the share that each weight keeps, None where
    all of them keep all; the next history.
    """

    mask: Tensor
    factor: Tensor | None = None
    history: History = field(default_factory=dict)

    def narrow(self, weights: Tensor) -> Tensor:
        """Return the weights (..., T, S), each times its factor."""
        return weights if self.factor is None else weights * self.factor

    def for_heads(self) -> View:
        """Return the same view for every head: mask and factor are (B, 1, ·, S)."""
        return replace(
            self, mask=self.mask.unsqueeze(1), factor=None if self.factor is None else self.factor.unsqueeze(1)
        )


@dataclass(frozen=True)
class Reading:
    """Return one read: context (B, T, D), weights (B, T, S) of a lookup, and the next history.

    `weights` is None where there are none, and may be over something else than source positions where the attention's
    `kind` is not "lookup": then nobody but a test looks at them. `heads` (B, H, T, S) are the weights of each head, of
    which `weights` are the mean; None where there are no heads.
    """

    context: Tensor
    weights: Tensor | None
    history: History = field(default_factory=dict)
    heads: Tensor | None = None


@dataclass(frozen=True)
class DecoderState:
    """Carry a decoder's own tensors and its attention's history to the next step, apart: names never meet."""

    own: History
    attention: History = field(default_factory=dict)

    def rows(self, index: Tensor) -> DecoderState:
        """Return the state of these rows (N,), in this order."""
        return DecoderState(
            *({name: value[index] for name, value in part.items()} for part in (self.own, self.attention))
        )


@dataclass(frozen=True)
class Decoded:
    """Decoder output: readout (B, T, R) ahead of the output layer, weights (B, T, S) or None, next state."""

    readout: Tensor
    weights: Tensor | None
    state: DecoderState


class Score(nn.Module, ABC):
    """Compare queries with keys. Built with the widths of both; `prepare` projects keys once per source.

    `position_dependent` says that a score hears where a key stands, so that permuting the keys does more than permute
    its scores; `reach` is then the number of positions that it supports (None: any number), and later ones are masked.
    `stepwise` says that it hears the weights of earlier steps: an attention then goes one step at a time, and hands the
    final weights of each to `update`.
    """

    position_dependent: bool = False
    stepwise: bool = False
    reach: int | None = None

    def __init__(self, query_width: int, key_width: int) -> None:
        super().__init__()
        self.query_width = query_width
        self.key_width = key_width

    def prepare(self, annotations: Tensor) -> Tensor:
        """Project annotations (..., S, D) to keys (..., S, K); the identity unless a score overrides it."""
        return annotations

    def reached(self, mask: Tensor) -> Tensor:
        """Return where mask (B, S), true on real positions, is true and this score supports the position."""
        if self.reach is None:
            return mask
        return mask & (torch.arange(mask.size(-1), device=mask.device) < self.reach)

    @abstractmethod
    def forward(self, query: Tensor, keys: Tensor, history: History) -> tuple[Tensor, History]:
        """Score query (..., T, Q) against keys (..., S, K): scores (..., T, S), and the history for `update`.

        The history is empty at the first step, and is returned as it is by a score that keeps none.
        """

    def update(self, history: History, weights: Tensor) -> History:  # noqa: ARG002
        """Return the history for the next step's `forward`, given the final weights (..., T, S) of this one."""
        return history


class Normalizer(nn.Module, ABC):
    """Scores to weights: zero outside the mask; a fully masked row is all zero, with finite gradients.

    `row_sum` is what every row with a real position sums to, None where a normalizer leaves that free.
    """

    row_sum: float | None = 1.0

    @abstractmethod
    def forward(self, scores: Tensor, mask: Tensor) -> Tensor:
        """scores (..., T, S), mask broadcastable to it, true on real positions → weights (..., T, S)."""


class Window(nn.Module, ABC):
    """Decide which positions each query may look at, and what share of its weight each of them keeps.

    Built with the width of the queries. All heads of an attention look through one window.
    """

    @abstractmethod
    def forward(self, query: Tensor, mask: Tensor, history: History) -> View:
        """query (B, T, Q), mask (B, S) true on real positions → what each query sees, and the next history."""


class Attention(nn.Module, ABC):
    """Read a source: soft lookups, fixed contexts and whatever lies between. `width` is the width of its context.

    `kind` says which of them it is: tables, tests and programs go by it, and by no name. `merges` says that its context
    has been through an output projection of its own, and is as wide as the query.
    """

    kind: Kind
    width: int
    merges: bool = False

    @abstractmethod
    def prepare(self, annotations: Annotations) -> Memory:
        """Prepare what `forward` reads, once per source."""

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
        """Yield the square matrices by which its states reach their next, one per gate, layer and direction; views of
        its weights. None unless it is recurrent."""
        yield from ()


class Decoder(nn.Module, ABC):
    """Target ids and a memory to readouts. `width` is that of the readout."""

    embedding: nn.Embedding
    width: int

    @abstractmethod
    def prepare(self, annotations: Annotations) -> tuple[Memory, DecoderState]:
        """Return the memory that its attention reads, and the state before the first step."""

    @abstractmethod
    def forward(self, inputs: Tensor, memory: Memory, state: DecoderState) -> Decoded:
        """inputs (B, T) ids of the previous tokens, from BOS on. T may be one step or the whole target."""

    def recurrent_blocks(self) -> Iterator[Tensor]:
        """Yield the square matrices by which its states reach their next, as those of an encoder."""
        yield from ()
