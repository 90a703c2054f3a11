"""Layers of long short-term memory, each of which hands its state on to the decoder."""

import torch
from torch import Tensor, nn

from softlookup.contract import Annotations
from softlookup.encoder.recurrent import RecurrentEncoder
from softlookup.ranges import Dropout, Layers, Size


class Stacked(RecurrentEncoder):
    """A stack of one direction.  Sutskever et al. 2014, section 3.4; Luong et al. 2015, section 2.

    The unit is PyTorch's, that of Zaremba et al. 2014, which Luong et al. name. Sutskever et al. name Graves 2013,
    whose unit has peepholes; two of them, naming Graves too, write it without (Zaremba et al.), and so does this.

    Annotations are the top layer's states. The final state is hidden and cell of every layer side by side, (B, 2 ·
    layers · width): 8,000 numbers for Sutskever's four layers of 1,000. Dropout acts on embeddings, between layers and
    on annotations; the final state goes on along time, where Zaremba et al. drop nothing.
    """

    def __init__(self, vocabulary: int, embedding: Size, width: Size, layers: Layers, dropout: Dropout) -> None:
        super().__init__(nn.LSTM, vocabulary, embedding, width, layers, bidirectional=False, dropout=dropout)
        self.final_width = 2 * layers * width

    def forward(self, source: Tensor, mask: Tensor) -> Annotations:
        states, last = self.read(source, mask)
        return Annotations(self.dropout(states), mask, torch.cat(last).transpose(0, 1).flatten(1))
