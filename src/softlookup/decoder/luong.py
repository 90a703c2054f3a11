"""Luong's wiring, behind any encoder: step first, attend from s_t, read out through the attentional state."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from softlookup.contract import Attention, Widths
from softlookup.decoder.stack import StackedDecoder, handed_on


class Luong(StackedDecoder):
    """Stacked LSTM layers that look after they stepped.  Luong et al. 2015, sections 3 and 3.3::

        s_t = LSTM([E y_{t−1} ; h̃_{t−1}], s_{t−1})        h̃ enters with input feeding alone
        c_t = lookup(s_t, annotations)
        readout_t = h̃_t = tanh(W_c [c_t ; s_t])           (eq. 5)

    Every layer starts at h = tanh(W h_final), cell = W' h_final: unlike the paper's (`decoder=luong2015`) it needs no
    encoder of its own shape.
    """

    def __init__(
        self,
        vocabulary: int,
        annotation_width: int,
        final_width: int,
        attention: Callable[[Widths], Attention],
        embedding: int,
        width: int,
        layers: int,
        input_feeding: bool,
        dropout: float,
    ) -> None:
        widths = Widths(width, annotation_width, final_width)
        super().__init__(vocabulary, widths, attention, embedding, layers, input_feeding, dropout)
        self.initial = nn.Linear(final_width, 2 * layers * width)
        self.readout = nn.Linear(self.attention.width + width, width, bias=False)

    def start(self, final: Tensor) -> tuple[Tensor, Tensor]:
        hidden, cell = handed_on(self.initial(final), len(self.cells))
        return torch.tanh(hidden), cell

    def read_out(self, context: Tensor, top: Tensor) -> Tensor:
        return torch.tanh(self.readout(torch.cat([context, top], -1)))
