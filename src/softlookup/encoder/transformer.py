"""Self-attention over the source."""

from torch import Tensor, nn

from softlookup.contract import Annotations, Encoder
from softlookup.errors import UserError
from softlookup.positions import sinusoids
from softlookup.vocabulary import PAD


class Transformer(Encoder):
    """N layers of self-attention and feed-forward around E x_s + PE(s).  Vaswani et al. 2017, section 3.1.

    Layer normalization comes first in each sublayer (as in the Annotated Transformer's code), which trains without
    a long warm-up; a last one closes the stack. E is drawn at unit variance, in place of the paper's √D factor.
    The final state is the mean annotation over real positions.

    Raises UserError when `heads` does not divide `width`.
    """

    def __init__(self, vocabulary: int, width: int, feed_forward: int, heads: int, layers: int, dropout: float) -> None:
        super().__init__()
        if heads < 1 or width % heads:
            raise UserError(f"encoder.heads={heads} does not divide encoder.width={width}")
        self.embedding = nn.Embedding(vocabulary, width, padding_idx=PAD)
        self.dropout = nn.Dropout(dropout)
        layer = nn.TransformerEncoderLayer(width, heads, feed_forward, dropout, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, layers, nn.LayerNorm(width), enable_nested_tensor=False)
        # nn.TransformerEncoder copies one layer, first weights included; every layer gets its own.
        for parameter in self.layers.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        self.width = self.final_width = width

    def forward(self, source: Tensor, mask: Tensor) -> Annotations:
        placed = self.dropout(self.embedding(source) + sinusoids(0, source.size(1), self.width, source.device))
        mixed = self.layers(placed, src_key_padding_mask=~mask)
        # masked_fill and not a product: a row of padding alone may hold NaN, which no product removes.
        states = mixed.masked_fill(~mask.unsqueeze(-1), 0.0)
        return Annotations(states, mask, states.sum(1) / mask.sum(1, keepdim=True).clamp(min=1))
