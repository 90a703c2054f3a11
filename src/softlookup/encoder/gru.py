"""Encode with gated recurrent units."""

from torch import nn

from softlookup.encoder.recurrent import RecurrentEncoder
from softlookup.ranges import Dropout, Layers, Size


class Gru(RecurrentEncoder):
    """Encode with gated recurrent units (Cho et al. 2014, eqs. 5 to 8, in PyTorch's form of the reset gate)."""

    def __init__(
        self, vocabulary: int, embedding: Size, width: Size, layers: Layers, bidirectional: bool, dropout: Dropout
    ) -> None:
        super().__init__(nn.GRU, vocabulary, embedding, width, layers, bidirectional, dropout)
