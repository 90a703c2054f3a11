"""Define the interfaces of the parts of a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor, nn

from softlookup.contract.packing import Packing
from softlookup.contract.tensors import Annotations, Decoded, DecoderState, History, Kind, Memory, Reading, View
from softlookup.group import Group


class Score(nn.Module, ABC):
    """Compare queries with keys. Built with the widths of both; `prepare` projects keys once per source.

    `position_dependent` says that a score depends on the positions of keys, so that it is not equivariant to
    permutations of the keys; `reach` is then the number of positions that it supports (None: any number), and later
    ones are masked. `stepwise` says that it depends on the weights of earlier steps: an attention then proceeds step by
    step, and passes the final weights of each step to `update`. `home` is the package that a config may take scores
    from.
    """

    home: ClassVar[str] = "attention"
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
        """Restrict mask (B, S), true on real positions, to the positions that this score supports."""
        if self.reach is None:
            return mask
        return mask & (torch.arange(mask.size(-1), device=mask.device) < self.reach)

    @abstractmethod
    def forward(self, query: Tensor, keys: Tensor, history: History) -> tuple[Tensor, History]:
        """Score query (..., T, Q) against keys (..., S, K): scores (..., T, S), and the history for `update`.

        The history is empty at the first step; a score without history returns it unchanged.
        """

    def as_dot(self, query: Tensor) -> tuple[Tensor, float] | None:  # noqa: ARG002
        """Return a (..., T, K) and c of a score that is c · (a · key), with prepared keys; None for any other.

        Fused kernels compute scores of this form, and of that of `as_perceptron`, where weights are not asked for.
        """
        return None

    def as_perceptron(self, query: Tensor) -> tuple[Tensor, Tensor] | None:  # noqa: ARG002
        """Return a (..., T, K) and v (K) of a score that is vᵀ tanh(a + key), with prepared keys; None for any
        other."""
        return None

    def update(self, history: History, weights: Tensor) -> History:  # noqa: ARG002
        """Return the history for the next step's `forward`, given the final weights (..., T, S) of this one."""
        return history


class Normalizer(nn.Module, ABC):
    """Turn scores into weights: zero outside the mask; a fully masked row is all zero, with finite gradients.

    `row_sum` is the sum of every row with a real position, None if it is not fixed. `is_softmax` says that it is the
    softmax, which fused kernels compute.
    """

    group: ClassVar[Group] = Group("normalizer")
    row_sum: float | None = 1.0
    is_softmax: bool = False

    def __call__(self, scores: Tensor, mask: Tensor) -> Tensor:
        """Normalize scores, in float32 if they are bf16."""
        weights: Tensor = super().__call__(scores.float() if scores.dtype == torch.bfloat16 else scores, mask)
        return weights

    @abstractmethod
    def forward(self, scores: Tensor, mask: Tensor) -> Tensor:
        """scores (..., T, S), mask broadcastable to it, true on real positions → weights (..., T, S)."""


class Window(nn.Module, ABC):
    """Select the positions that each query may attend to, and the share of its weight that each of them keeps.

    Built with the width of the queries. All heads of an attention share one window.
    """

    group: ClassVar[Group] = Group("window", ("query_width",))

    @abstractmethod
    def forward(self, query: Tensor, mask: Tensor, history: History) -> View:
        """query (B, T, Q), mask (B, S) true on real positions → the view of each query, with the next history."""


class Attention(nn.Module, ABC):
    """Read a source: by soft lookup, as a fixed context, or without weights. `width` is the width of its context.

    `kind` says which of them it is: tables, tests and programs depend on it, not on names. `merges` says that its
    context has already been projected, to the width of the query.
    """

    group: ClassVar[Group] = Group("attention", ("widths",))
    kind: Kind
    width: int
    merges: bool = False

    @abstractmethod
    def prepare(self, annotations: Annotations) -> Memory:
        """Compute the memory that `forward` reads, once per source."""

    @abstractmethod
    def forward(self, query: Tensor, memory: Memory, history: History, weights: bool = True) -> Reading:
        """query (B, T, Q) → context (B, T, width), weights and the next history.

        With `weights` false the caller does not need them: a reading may then be without, and a fused kernel, which
        rounds differently, may compute the context.
        """


class SequenceMixer(nn.Module, ABC):
    """Mix the positions of one stream (B, T, D), as self-attention does.

    Built with the width of the stream. Without a past, every position may read every real one, as in an encoder. With a
    past, it reads the past and the stream up to itself, as in a decoder: one call for all steps equals one call per
    step.
    `position_dependent` declares that permuting the positions does more than permute the result.
    """

    group: ClassVar[Group] = Group("mixer", ("width",))
    position_dependent: bool = False

    @abstractmethod
    def begin(self, stream: Tensor) -> History:
        """Return the past before the first position, for the batch, device and precision of a stream (B, T, D)."""

    @abstractmethod
    def forward(self, stream: Tensor, mask: Tensor, past: History | None) -> tuple[Tensor, History | None]:
        """stream (B, T, D), mask (B, T) true on real positions → the mixed stream (B, T, D) and the next past.

        With a past, padding follows the real positions, which therefore do not read it.
        """

    def packed(self, stream: Tensor, packing: Packing) -> Tensor:
        """Return what `forward` does without a past, for the real positions of a stream alone: (N, D) → (N, D).

        A mixer whose products need no padding overrides this.
        """
        return packing.pack(self(packing.pad(stream), packing.mask, None)[0])

    def weights(self, stream: Tensor, mask: Tensor, past: History | None) -> Tensor | None:  # noqa: ARG002
        """Return the weights (B, H, T, S) with which `forward` mixes, by head; None for a mixer without weights."""
        return None


class Encoder(nn.Module, ABC):
    """Encode source ids as annotations. `width` and `final_width` are the widths of its states and of its final
    state."""

    group: ClassVar[Group] = Group("encoder", ("vocabulary",))
    embedding: nn.Embedding
    width: int
    final_width: int

    @abstractmethod
    def forward(self, source: Tensor, mask: Tensor, lengths: Tensor | None = None) -> Annotations:
        """source (B, S) ids, mask (B, S) true on real positions → annotations. Padding does not affect real
        positions.

        lengths (B,), the sums of the mask, are on the processor; an encoder that needs them reads them from the mask if
        they are absent, for which a GPU makes the processor wait.
        """

    def recurrent_blocks(self) -> Iterator[Tensor]:
        """Yield the square matrices that map its states to the next states, one per gate, layer and direction, as views
        of its weights; none unless it is recurrent."""
        yield from ()


class Decoder(nn.Module, ABC):
    """Decode target ids and a memory to readouts. `width` is that of the readout."""

    group: ClassVar[Group] = Group("decoder", ("vocabulary", "annotation_width", "final_width", "attention"))
    embedding: nn.Embedding
    width: int

    @abstractmethod
    def prepare(self, annotations: Annotations) -> tuple[Memory, DecoderState]:
        """Return the memory that its attention reads, and the state before the first step."""

    @abstractmethod
    def forward(self, inputs: Tensor, memory: Memory, state: DecoderState, weights: bool = True) -> Decoded:
        """inputs (B, T): ids of the previous tokens, starting with BOS. T may be one step or the whole target.

        `weights` is passed to its attention: whether the result must have the weights of a lookup.
        """

    def recurrent_blocks(self) -> Iterator[Tensor]:
        """Yield the square matrices that map its states to the next states, as those of an encoder."""
        yield from ()
