"""Define the tensors that pass between the parts of a model."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

from torch import Tensor

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
