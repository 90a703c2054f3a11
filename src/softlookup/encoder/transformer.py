"""Encode with Transformer layers."""

import math
from collections.abc import Callable

from torch import Tensor, nn

from softlookup.contract import Annotations, Encoder, Packing, SequenceMixer
from softlookup.layers.dropout import Drop
from softlookup.layers.positional_encoding import sinusoids
from softlookup.layers.transformer import FeedForward, Sublayers, embedding
from softlookup.ranges import Dropout, Layers, Size
from softlookup.text.vocabulary import PAD


class Layer(nn.Module):
    """Apply a mixer, then a feed-forward network, each as a sublayer. Vaswani et al. 2017, section 3.1."""

    def __init__(self, mixer: SequenceMixer, width: int, feed_forward: int, norm: str, dropout: float) -> None:
        super().__init__()
        self.attention = mixer
        self.feed_forward = FeedForward(width, feed_forward)
        self.around = Sublayers(2, width, norm, dropout, "encoder")

    def forward(self, stream: Tensor, mask: Tensor, packing: Packing | None) -> Tensor:
        """stream (B, S, D), or (N, D) of the real positions in `packing` → the same shape"""
        entered = self.around.enter(stream, 0)
        mixed = self.attention(entered, mask, None)[0] if packing is None else self.attention.packed(entered, packing)
        stream = self.around.leave(stream, mixed, 0)
        return self.around.leave(stream, self.feed_forward(self.around.enter(stream, 1)), 1)


class Transformer(Encoder):
    """Apply N layers of self-attention (or another mixer) and feed-forward to √D E x_s + PE(s).

    Vaswani et al. 2017, section 3.1. With norm=before a final normalization follows the stack. The final state is the
    mean annotation over real positions. On a processor padding is computed in attention only.

    Raises UserError for a mixer that does not fit the width, and for a norm that is neither before nor after.
    """

    def __init__(
        self,
        vocabulary: int,
        mixer: Callable[[int], SequenceMixer],
        width: Size,
        feed_forward: Size,
        layers: Layers,
        norm: str,
        dropout: Dropout,
    ) -> None:
        super().__init__()
        self.embedding = embedding(vocabulary, width, PAD)
        self.dropout = Drop(dropout)
        self.layers = nn.ModuleList(Layer(mixer(width), width, feed_forward, norm, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width) if norm == "before" else nn.Identity()
        self.width = self.final_width = width

    def forward(self, source: Tensor, mask: Tensor, lengths: Tensor | None = None) -> Annotations:  # noqa: ARG002
        packing = Packing.of(mask)
        positions = sinusoids(0, source.size(1), self.width, self.embedding.weight)
        if packing is not None:
            source = source.flatten().index_select(0, packing.places)
            positions = positions.index_select(0, packing.places % len(positions))
        stream = self.dropout(self.embedding(source) * math.sqrt(self.width) + positions)
        for layer in self.layers:
            stream = layer(stream, mask, packing)
        stream = self.norm(stream)
        # masked_fill instead of a product: a row of padding only may hold NaN, which a product with 0 keeps.
        states = stream.masked_fill(~mask.unsqueeze(-1), 0.0) if packing is None else packing.pad(stream)
        return Annotations(states, mask, states.sum(1) / mask.sum(1, keepdim=True).clamp(min=1))
