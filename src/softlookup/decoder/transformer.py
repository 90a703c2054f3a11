"""Decode with Transformer layers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from softlookup.contract import (
    Annotations,
    Attention,
    Decoded,
    Decoder,
    DecoderState,
    History,
    Memory,
    Reading,
    SequenceMixer,
    Widths,
    of_layers,
)
from softlookup.errors import UserError
from softlookup.layers.dropout import Drop
from softlookup.layers.positional_encoding import sinusoids
from softlookup.layers.transformer import FeedForward, Sublayers, embedding
from softlookup.ranges import Dropout, Layers, Size
from softlookup.text.vocabulary import PAD

_STEPS = "steps"


@dataclass(frozen=True)
class Memories(Memory):
    """Hold the memory of each layer in separate tensors: slices of one large tensor would be copied at every step."""

    layers: tuple[Memory, ...]


class Layer(nn.Module):
    """Apply a mixer, a lookup in the source and a feed-forward network, each as a sublayer (Vaswani et al. 2017, 3.1).

    A context that the attention has not projected itself, as wide as the annotations, is projected to the stream's
    width.
    """

    def __init__(
        self,
        mixer: SequenceMixer,
        attention: Attention,
        width: int,
        feed_forward: int,
        norm: str,
        dropout: float,
    ) -> None:
        super().__init__()
        self.attention = attention
        self.self_attention = mixer
        self.feed_forward = FeedForward(width, feed_forward)
        self.around = Sublayers(3, width, norm, dropout, "decoder")
        # The decoder initializes its weights later.
        self.context = (
            nn.Identity() if attention.merges else nn.utils.skip_init(nn.Linear, attention.width, width, bias=False)
        )

    def forward(
        self, stream: Tensor, mask: Tensor, memory: Memory, past: History, history: History, weights: bool
    ) -> _Layered:
        around = self.around
        mixed, past = self.self_attention(around.enter(stream, 0), mask, past)
        stream = around.leave(stream, mixed, 0)
        reading = self.attention(around.enter(stream, 1), memory, history, weights)
        stream = around.leave(stream, self.context(reading.context), 1)
        stream = around.leave(stream, self.feed_forward(around.enter(stream, 2)), 2)
        return _Layered(stream, reading, past)


@dataclass(frozen=True)
class _Layered:
    """Hold the output stream (B, T, D) of a layer, its reading of the source, and its mixer's next past."""

    stream: Tensor
    reading: Reading
    past: History


class Transformer(Decoder):
    """Apply N layers to √D E y_{t−1} + PE(t), each with its own lookup in the source.

    Vaswani et al. 2017, section 3.1; with norm=before a final normalization follows the stack. The returned weights are
    those of the last layer. Mixers keep earlier steps in the state, so that a step has the cost of one step. With
    mixer=scaled_dot and without weights, memory grows with the length, not with its square.

    Raises UserError for a mixer that does not fit the width, for a norm that is neither before nor after, and for a
    context of width zero: this decoder has no initial state that could carry the source instead.
    """

    def __init__(
        self,
        vocabulary: int,
        annotation_width: int,
        final_width: int,
        attention: Callable[[Widths], Attention],
        mixer: Callable[[int], SequenceMixer],
        width: Size,
        feed_forward: Size,
        layers: Layers,
        norm: str,
        dropout: Dropout,
    ) -> None:
        super().__init__()
        self.width = width
        self.embedding = embedding(vocabulary, width, PAD)
        self.dropout = Drop(dropout)
        widths = Widths(width, annotation_width, final_width)
        readers = [attention(widths) for _ in range(layers)]
        if any(reader.width == 0 for reader in readers):
            raise UserError(
                "a transformer decoder has no first state, so attention=fixed_initial would leave it without the "
                "source; choose attention=fixed_final or another, or decoder=bahdanau or luong"
            )
        self.layers = nn.ModuleList(
            Layer(mixer(width), reader, width, feed_forward, norm, dropout) for reader in readers
        )
        self.norm = nn.LayerNorm(width) if norm == "before" else nn.Identity()
        # Initialized last, so that the weights above are the same for every width of the context.
        for layer in self.layers:
            if isinstance(layer.context, nn.Linear):
                layer.context.reset_parameters()

    def prepare(self, annotations: Annotations) -> tuple[Memory, DecoderState]:
        layers = [cast(Layer, layer) for layer in self.layers]
        prepared = tuple(layer.attention.prepare(annotations) for layer in layers)
        # A tensor without elements: its size counts the steps, and is known without reading from the device.
        initial = {_STEPS: annotations.final.new_zeros(len(annotations.final), 0, 0)}
        stream = annotations.final.new_zeros(len(annotations.final), 0, self.width)
        for i, layer in enumerate(layers):
            initial |= _named(i, layer.self_attention.begin(stream))
        return Memories(prepared), DecoderState(initial)

    def forward(self, inputs: Tensor, memory: Memory, state: DecoderState, weights: bool = True) -> Decoded:
        assert isinstance(memory, Memories)
        steps = torch.cat([state.decoder[_STEPS], state.decoder[_STEPS].new_zeros(*inputs.shape, 0)], 1)
        known = state.decoder[_STEPS].size(1)
        embedded = self.embedding(inputs) * math.sqrt(self.width)
        stream = self.dropout(embedded + sinusoids(known, inputs.size(1), self.width, embedded))
        mask = inputs != PAD
        pasts: History = {_STEPS: steps}
        histories: History = {}
        lookups = []
        for i, (layer, read) in enumerate(zip(self.layers, memory.layers, strict=True)):
            output = layer(stream, mask, read, _of(i, state.decoder), _of(i, state.attention), weights)
            stream = output.stream
            pasts |= _named(i, output.past)
            histories |= _named(i, output.reading.history)
            lookups.append(output.reading)
        return Decoded(self.norm(stream), lookups[-1].weights, DecoderState(pasts, histories), of_layers(lookups))


def _named(layer: int, history: History) -> History:
    """Prefix every name of a history with the number of its layer."""
    return {f"{layer}/{name}": value for name, value in history.items()}


def _of(layer: int, history: History) -> History:
    """Return the history of one layer from those that `_named` joined."""
    prefix = f"{layer}/"
    return {name.removeprefix(prefix): v for name, v in history.items() if name.startswith(prefix)}
