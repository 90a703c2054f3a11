"""Encode each token by itself: the baseline in which attention must do all the work."""

from torch import Tensor, nn

from softlookup.contract import Annotations, Encoder
from softlookup.layers.dropout import Drop
from softlookup.layers.positional_encoding import sinusoids
from softlookup.ranges import Dropout, Size
from softlookup.text.vocabulary import PAD


class Bag(Encoder):
    """annotation_s = E x_s + PE(s): a token and its position, independent of its neighbours.

    The final state is the mean annotation over real positions.
    """

    def __init__(self, vocabulary: int, width: Size, dropout: Dropout) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width, padding_idx=PAD)
        self.dropout = Drop(dropout)
        self.width = self.final_width = width

    def forward(self, source: Tensor, mask: Tensor, lengths: Tensor | None = None) -> Annotations:  # noqa: ARG002
        embedded = self.embedding(source)
        placed = embedded + sinusoids(0, source.size(1), self.width, embedded)
        states = self.dropout(placed) * mask.unsqueeze(-1)
        return Annotations(states, mask, states.sum(1) / mask.sum(1, keepdim=True).clamp(min=1))
