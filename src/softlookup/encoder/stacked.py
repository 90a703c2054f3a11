"""Encode with stacked LSTM layers, whose last states initialize the decoder."""

import torch
from torch import Tensor, nn

from softlookup.contract import Annotations
from softlookup.encoder.recurrent import RecurrentEncoder
from softlookup.ranges import Dropout, Layers, Size


class Stacked(RecurrentEncoder):
    """Encode with a unidirectional stack. Sutskever et al. 2014, section 3.4; Luong et al. 2015, section 2.

    The unit is PyTorch's, that of Zaremba et al. 2014, which Luong et al. cite. Sutskever et al. cite Graves 2013,
    whose unit has peepholes; two of them, citing Graves too, define it without (Zaremba et al.), as here.

    Annotations are the top layer's states. The final state is the concatenation of hidden and cell of every layer, (B,
    2 · layers · width): 8,000 numbers for Sutskever's four layers of 1,000. Dropout applies to embeddings, between
    layers and to annotations; not to the final state, since Zaremba et al. use no dropout along time.
    """

    def __init__(self, vocabulary: int, embedding: Size, width: Size, layers: Layers, dropout: Dropout) -> None:
        super().__init__(nn.LSTM, vocabulary, embedding, width, layers, bidirectional=False, dropout=dropout)
        self.final_width = 2 * layers * width

    def forward(self, source: Tensor, mask: Tensor, lengths: Tensor | None = None) -> Annotations:
        states, last = self.read(source, mask, lengths)
        return Annotations(self.dropout(states), mask, torch.cat(last).transpose(0, 1).flatten(1))
