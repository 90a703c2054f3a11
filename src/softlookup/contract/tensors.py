"""Define the tensors that pass between the parts of a model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, Self

import torch
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
    """Hold the widths for which an attention is built: of the queries, of the annotations and of the final state."""

    query: int
    annotation: int
    final: int


@dataclass(frozen=True)
class Memory:
    """Hold what an attention reads, computed once per source. Only that attention accesses its content.

    Each subclass is a frozen dataclass of batch-first tensors, of memories, and of tuples of either; one whose tensors
    are not batch-first overrides `rows`.
    """

    def rows(self, index: Tensor) -> Self:
        """Return the memory of these rows (N,), in this order, as a search needs it when its hypotheses change."""
        return replace(self, **{name: _rows(value, index) for name, value in vars(self).items()})

    @property
    def bytes(self) -> int:
        """Return the size of its tensors in bytes; a tensor that it holds several times, as keys and as values, counts
        once."""
        return sum({id(tensor): tensor.numel() * tensor.element_size() for tensor in _tensors(self)}.values())


def _rows(value: Any, index: Tensor) -> Any:
    if isinstance(value, tuple):
        return tuple(_rows(part, index) for part in value)
    return value.rows(index) if isinstance(value, Memory) else value.index_select(0, index)


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif value is not None:
        for part in value if isinstance(value, tuple) else (getattr(value, each.name) for each in fields(value)):
            yield from _tensors(part)


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
    """Hold the positions that a window allows queries to attend to.

    mask (B, T or 1, S), true where a query may attend; factor (B, T, S), by which each weight is multiplied, None for a
    factor of 1; the next history.
    """

    mask: Tensor
    factor: Tensor | None = None
    history: History = field(default_factory=dict)

    def narrow(self, weights: Tensor) -> Tensor:
        """Return the weights (..., T, S), multiplied by the factor."""
        return weights if self.factor is None else weights * self.factor

    def for_heads(self) -> View:
        """Return the same view for every head: mask and factor are (B, 1, ·, S)."""
        return replace(
            self, mask=self.mask.unsqueeze(1), factor=None if self.factor is None else self.factor.unsqueeze(1)
        )


@dataclass(frozen=True)
class Reading:
    """Hold the result of one read: context (B, T, D), weights (B, T, S) of a lookup, and the next history.

    `weights` is None without weights, and may be None if they were not requested; if the attention's `kind` is not
    "lookup" they may be over something other than source positions, and only tests use them. `heads` (B, H, T, S) are
    the weights of each head, whose mean are `weights`; None without heads.
    """

    context: Tensor
    weights: Tensor | None
    history: History = field(default_factory=dict)
    heads: Tensor | None = None


def of_layers(readings: Sequence[Reading]) -> tuple[Tensor, ...]:
    """Return the weights of the readings of one step by layer and head, (B, H, T, S) each; empty for a single reading
    without heads, and if a reading has no weights."""
    if any(reading.weights is None for reading in readings):
        return ()
    if len(readings) == 1 and readings[0].heads is None:
        return ()
    weights = [reading.weights for reading in readings if reading.weights is not None]
    return tuple(
        weight.unsqueeze(1) if reading.heads is None else reading.heads
        for reading, weight in zip(readings, weights, strict=True)
    )


def over_steps(readings: Sequence[Reading]) -> tuple[Tensor | None, tuple[Tensor, ...]]:
    """Join the readings of one lookup over its steps: return weights (B, T, S), and those by head."""
    weights = [reading.weights for reading in readings if reading.weights is not None]
    heads = [reading.heads for reading in readings if reading.heads is not None]
    return torch.cat(weights, 1) if weights else None, (torch.cat(heads, 2),) if heads else ()


@dataclass(frozen=True)
class DecoderState:
    """Carry a decoder's tensors and its attention's history to the next step, separately, so that names cannot
    collide."""

    decoder: History
    attention: History = field(default_factory=dict)

    def rows(self, index: Tensor) -> DecoderState:
        """Return the state of these rows (N,), in this order."""
        return DecoderState(
            *(
                {name: value.index_select(0, index) for name, value in part.items()}
                for part in (self.decoder, self.attention)
            )
        )


@dataclass(frozen=True)
class Decoded:
    """Hold the output of a decoder: readout (B, T, R) for the output layer, weights (B, T, S) or None, next state.

    `lookups` holds the weights of each layer with a lookup by head (B, H, T, S); empty for a decoder with one lookup
    without heads, whose weights are `weights`.
    """

    readout: Tensor
    weights: Tensor | None
    state: DecoderState
    lookups: tuple[Tensor, ...] = ()
