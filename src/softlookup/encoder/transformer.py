"""Self-attention over the source."""

import math

from torch import Tensor, nn

from softlookup.contract import Annotations, Encoder
from softlookup.layers.positional_encoding import sinusoids
from softlookup.layers.self_attention import FeedForward, SelfAttention, Sublayers, embedding
from softlookup.ranges import Dropout, Layers, Size
from softlookup.text.vocabulary import PAD


class Layer(nn.Module):
    """Self-attention, then a feed-forward network, each a sublayer.  Vaswani et al. 2017, section 3.1."""

    def __init__(self, width: Size, feed_forward: Size, heads: Size, norm: str, dropout: Dropout) -> None:
        super().__init__()
        self.attention = SelfAttention(width, heads, "encoder")
        self.feed_forward = FeedForward(width, feed_forward)
        self.around = Sublayers(2, width, norm, dropout, "encoder")

    def forward(self, stream: Tensor, visible: Tensor) -> Tensor:
        query, keys, values = self.attention.project(self.around.enter(stream, 0)).unbind(2)
        mixed = self.attention.mix(query, keys, values, visible)
        stream = self.around.leave(stream, mixed, 0)
        return self.around.leave(stream, self.feed_forward(self.around.enter(stream, 1)), 1)


class Transformer(Encoder):
    """N layers of self-attention and feed-forward around √D E x_s + PE(s).  Vaswani et al. 2017, section 3.1.

    With norm=before a last normalization closes the stack. The final state is the mean annotation over real
    positions.

    Raises UserError when `heads` does not divide `width`, and for a norm that is neither before nor after.
    """

    def __init__(
        self, vocabulary: int, width: Size, feed_forward: Size, heads: Size, layers: Layers, norm: str, dropout: Dropout
    ) -> None:
        super().__init__()
        self.embedding = embedding(vocabulary, width, PAD)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(Layer(width, feed_forward, heads, norm, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width) if norm == "before" else nn.Identity()
        self.width = self.final_width = width

    def forward(self, source: Tensor, mask: Tensor) -> Annotations:
        embedded = self.embedding(source) * math.sqrt(self.width)
        stream = self.dropout(embedded + sinusoids(0, source.size(1), self.width, embedded))
        visible = mask[:, None, None, :]
        for layer in self.layers:
            stream = layer(stream, visible)
        # masked_fill and not a product: a row of padding alone may hold NaN, which no product removes.
        states = self.norm(stream).masked_fill(~mask.unsqueeze(-1), 0.0)
        return Annotations(states, mask, states.sum(1) / mask.sum(1, keepdim=True).clamp(min=1))
