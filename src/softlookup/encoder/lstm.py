"""Encode with long short-term memory."""

from torch import nn

from softlookup.encoder.recurrent import RecurrentEncoder
from softlookup.ranges import Dropout, Layers, Size


class Lstm(RecurrentEncoder):
    """Encode with long short-term memory (Hochreiter & Schmidhuber 1997, in PyTorch's form)."""

    def __init__(
        self, vocabulary: int, embedding: Size, width: Size, layers: Layers, bidirectional: bool, dropout: Dropout
    ) -> None:
        super().__init__(nn.LSTM, vocabulary, embedding, width, layers, bidirectional, dropout)
