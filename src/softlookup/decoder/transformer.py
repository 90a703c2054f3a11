"""Self-attention over what was written, then a lookup into the source, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from softlookup.contract import Annotations, Attention, Decoded, Decoder, DecoderState, History, Memory, Widths
from softlookup.errors import UserError
from softlookup.layers.positional_encoding import sinusoids
from softlookup.layers.self_attention import FeedForward, SelfAttention, Sublayers, embedding
from softlookup.ranges import Dropout, Layers, Size
from softlookup.text.vocabulary import PAD


@dataclass(frozen=True)
class Memories(Memory):
    """Hold what each layer reads, in tensors of its own: a slice of one large tensor would be copied at every step."""

    layers: tuple[Memory, ...]


class Layer(nn.Module):
    """Self-attention, a lookup into the source, a feed-forward network, each a sublayer (Vaswani et al. 2017, 3.1).

    A context that its attention has not merged itself, as wide as the annotations, is projected to the stream's width.
    """

    def __init__(
        self, attention: Attention, width: Size, feed_forward: Size, heads: Size, norm: str, dropout: Dropout
    ) -> None:
        super().__init__()
        self.attention = attention
        self.self_attention = SelfAttention(width, heads, "decoder")
        self.feed_forward = FeedForward(width, feed_forward)
        self.around = Sublayers(3, width, norm, dropout, "decoder")
        # Its first weights are drawn by the decoder.
        self.context = (
            nn.Identity() if attention.merges else nn.utils.skip_init(nn.Linear, attention.width, width, bias=False)
        )

    def self_attend(self, stream: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """stream (B, T, D) sees itself up to its own step, and the steps before it: past (B, t, 2, H, D/H) holds their
        keys and values side by side, so that one copy makes it longer, and one reorders it."""
        projected = self.self_attention.project(stream)
        past = torch.cat([past, projected[:, :, 1:]], 1)
        steps, known = stream.size(1), past.size(1)
        visible = None  # a single step sees all that there is
        if steps > 1:
            visible = torch.ones(steps, known, dtype=torch.bool, device=stream.device).tril(known - steps)
        return self.self_attention.mix(projected[:, :, 0], past[:, :, 0], past[:, :, 1], visible), past

    def forward(
        self, stream: Tensor, memory: Memory, past: Tensor, history: History
    ) -> tuple[Tensor, Tensor | None, Tensor, History]:
        around = self.around
        mixed, past = self.self_attend(around.enter(stream, 0), past)
        stream = around.leave(stream, mixed, 0)
        reading = self.attention(around.enter(stream, 1), memory, history)
        stream = around.leave(stream, self.context(reading.context), 1)
        stream = around.leave(stream, self.feed_forward(around.enter(stream, 2)), 2)
        return stream, reading.weights, past, reading.history


class Transformer(Decoder):
    """N layers around √D E y_{t−1} + PE(t), each with a lookup of its own into the source.

    Vaswani et al. 2017, section 3.1; with norm=before a last normalization closes the stack.
    The weights that are returned are those of the last layer. Self-attention keeps its keys and values in the
    state, so that a step costs one step.

    Raises UserError when `heads` does not divide `width`, for a norm that is neither before nor after, and for a
    context of width zero: this decoder has no first state that could carry the source instead.
    """

    def __init__(
        self,
        vocabulary: int,
        annotation_width: int,
        final_width: int,
        attention: Callable[[Widths], Attention],
        width: Size,
        feed_forward: Size,
        heads: Size,
        layers: Layers,
        norm: str,
        dropout: Dropout,
    ) -> None:
        super().__init__()
        self.width = width
        self.heads = heads
        self.embedding = embedding(vocabulary, width, PAD)
        self.dropout = nn.Dropout(dropout)
        widths = Widths(width, annotation_width, final_width)
        readers = [attention(widths) for _ in range(layers)]
        if any(reader.width == 0 for reader in readers):
            raise UserError(
                "a transformer decoder has no first state, so attention=fixed_initial would leave it without the "
                "source; take attention=fixed_final or another, or decoder=bahdanau or luong"
            )
        self.layers = nn.ModuleList(Layer(reader, width, feed_forward, heads, norm, dropout) for reader in readers)
        self.norm = nn.LayerNorm(width) if norm == "before" else nn.Identity()
        # Drawn last: all above has the same first weights whatever the width of the context is.
        for layer in self.layers:
            if isinstance(layer.context, nn.Linear):
                layer.context.reset_parameters()

    def prepare(self, annotations: Annotations) -> tuple[Memory, DecoderState]:
        prepared = tuple(layer.attention.prepare(annotations) for layer in self.layers)  # type: ignore[union-attr, operator]
        empty = annotations.final.new_zeros(len(annotations.final), 0, 2, self.heads, self.width // self.heads)
        return Memories(prepared), DecoderState({f"{i}/past": empty for i in range(len(self.layers))})

    def forward(self, inputs: Tensor, memory: Memory, state: DecoderState) -> Decoded:
        assert isinstance(memory, Memories)
        known = state.own["0/past"].size(1)
        embedded = self.embedding(inputs) * math.sqrt(self.width)
        stream = self.dropout(embedded + sinusoids(known, inputs.size(1), self.width, embedded))
        pasts: History = {}
        histories: History = {}
        weights = None
        for i, (layer, read) in enumerate(zip(self.layers, memory.layers, strict=True)):
            prefix = f"{i}/"
            before = {name.removeprefix(prefix): v for name, v in state.attention.items() if name.startswith(prefix)}
            stream, weights, past, history = layer(stream, read, state.own[f"{prefix}past"], before)
            pasts[f"{prefix}past"] = past
            histories |= {f"{prefix}{name}": value for name, value in history.items()}
        return Decoded(self.norm(stream), weights, DecoderState(pasts, histories))
