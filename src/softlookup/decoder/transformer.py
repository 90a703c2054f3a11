"""Self-attention over what was written, then a lookup into the source, layer by layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from softlookup.contract import Annotations, Attention, Decoded, Decoder, History, Memory, Widths
from softlookup.errors import UserError
from softlookup.positions import sinusoids
from softlookup.vocabulary import PAD


@dataclass(frozen=True)
class Memories(Memory):
    """What each layer reads, in tensors of its own: a slice of one large tensor would be copied at every step.

    Its own keys and values are those of the first layer.
    """

    layers: tuple[Memory, ...]

    def rows(self, index: Tensor) -> Memories:
        return memories([layer.rows(index) for layer in self.layers])


def memories(layers: list[Memory]) -> Memories:
    """The layers' memories as one."""
    return Memories(layers[0].keys, layers[0].values, layers[0].mask, tuple(layers))


class Layer(nn.Module):
    """x + SelfAttention(x); x + W lookup(x, annotations); x + FFN(x), each behind a layer normalization.

    Vaswani et al. 2017, section 3.1; normalization first, as in the Annotated Transformer's code.
    """

    def __init__(self, attention: Attention, width: int, feed_forward: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = attention
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.projections = nn.Linear(width, 3 * width)
        self.merge = nn.Linear(width, width)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, feed_forward), nn.ReLU(), nn.Dropout(dropout), nn.Linear(feed_forward, width)
        )
        # A context may be as wide as the annotations; the residual stream has the decoder's width. Its first weights
        # are drawn by the decoder.
        self.context = nn.utils.skip_init(nn.Linear, attention.width, width, bias=False)
        self.dropout = nn.Dropout(dropout)

    def self_attend(self, stream: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """stream (B, T, D) sees itself up to its own step, and the steps before it: past (B, t, 2, H, D/H) holds their
        keys and values side by side, so that one copy makes it longer, and one reorders it."""
        split = self.projections(self.norms[0](stream)).unflatten(-1, (3, self.heads, -1))
        past = torch.cat([past, split[:, :, 1:]], 1)
        query, keys, values = (each.transpose(1, 2) for each in (split[:, :, 0], past[:, :, 0], past[:, :, 1]))
        steps, known = query.size(2), keys.size(2)
        visible = None  # a single step sees all that there is
        if steps > 1:
            visible = torch.ones(steps, known, dtype=torch.bool, device=stream.device).tril(known - steps)
        mixed = F.scaled_dot_product_attention(query, keys, values, attn_mask=visible)
        mixed = self.merge(mixed.transpose(1, 2).flatten(-2))
        return stream + self.dropout(mixed), past

    def look_up(self, stream: Tensor, memory: Memory, history: History) -> tuple[Tensor, Tensor | None, History]:
        reading = self.attention(self.norms[1](stream), memory, history)
        return stream + self.dropout(self.context(reading.context)), reading.weights, reading.history

    def forward(
        self, stream: Tensor, memory: Memory, past: Tensor, history: History
    ) -> tuple[Tensor, Tensor | None, Tensor, History]:
        stream, past = self.self_attend(stream, past)
        stream, weights, history = self.look_up(stream, memory, history)
        stream = stream + self.dropout(self.feed_forward(self.norms[2](stream)))
        return stream, weights, past, history


class Transformer(Decoder):
    """N layers, each with a lookup of its own into the source.  Vaswani et al. 2017, section 3.1.

    The weights that are returned are those of the last layer. Self-attention keeps its keys and values in the
    state, so that a step costs one step.

    Raises UserError when `heads` does not divide `width`, and for a context of width zero: this decoder has no
    first state that could carry the source instead.
    """

    def __init__(
        self,
        vocabulary: int,
        annotation_width: int,
        final_width: int,
        attention: Callable[[Widths], Attention],
        width: int,
        feed_forward: int,
        heads: int,
        layers: int,
        dropout: float,
    ) -> None:
        super().__init__()
        if heads < 1 or width % heads:
            raise UserError(f"decoder.heads={heads} does not divide decoder.width={width}")
        self.width = width
        self.heads = heads
        self.embedding = nn.Embedding(vocabulary, width, padding_idx=PAD)
        self.dropout = nn.Dropout(dropout)
        widths = Widths(width, annotation_width, final_width)
        readers = [attention(widths) for _ in range(layers)]
        if any(reader.width == 0 for reader in readers):
            raise UserError(
                "a transformer decoder has no first state, so attention=fixed_initial would leave it without the "
                "source; take attention=fixed_final or another, or decoder=bahdanau or luong"
            )
        self.layers = nn.ModuleList(Layer(reader, width, feed_forward, heads, dropout) for reader in readers)
        self.norm = nn.LayerNorm(width)
        # Drawn last: all above has the same first weights whatever the width of the context is.
        for layer in self.layers:
            layer.context.reset_parameters()  # type: ignore[union-attr, operator]

    def prepare(self, annotations: Annotations) -> tuple[Memory, History]:
        prepared = [layer.attention.prepare(annotations) for layer in self.layers]  # type: ignore[union-attr, operator]
        empty = annotations.final.new_zeros(len(annotations.final), 0, 2, self.heads, self.width // self.heads)
        return memories(prepared), {f"{i}/past": empty for i in range(len(self.layers))}

    def forward(self, inputs: Tensor, memory: Memory, state: History) -> Decoded:
        assert isinstance(memory, Memories)
        known = state["0/past"].size(1)
        stream = self.embedding(inputs) + sinusoids(known, inputs.size(1), self.width, inputs.device)
        stream = self.dropout(stream)
        following: History = {}
        weights = None
        for i, (layer, read) in enumerate(zip(self.layers, memory.layers, strict=True)):
            own = {name.removeprefix(f"{i}/"): value for name, value in state.items() if name.startswith(f"{i}/")}
            past = own.pop("past")
            stream, weights, past, history = layer(stream, read, past, own)
            following |= {f"{i}/{name}": value for name, value in {"past": past, **history}.items()}
        return Decoded(self.norm(stream), weights, following)
