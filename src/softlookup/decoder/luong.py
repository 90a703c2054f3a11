"""Decode as Luong does, with any encoder: step, attend from s_t, read out through the attentional state."""

import torch
from torch import Tensor, nn

from softlookup.decoder.stack import StackedDecoder, by_layer
from softlookup.layers.fixed_weights import linear


class Luong(StackedDecoder):
    """Decode with stacked LSTM layers that attend after their step.  Luong et al. 2015, sections 3 and 3.3::

        s_t = LSTM([E y_{t−1} ; h̃_{t−1}], s_{t−1})        h̃ enters only with input feeding
        c_t = lookup(s_t, annotations)
        readout_t = h̃_t = tanh(W_c [c_t ; s_t])           (eq. 5)

    Every layer starts at h = tanh(W h_final), cell = W' h_final: unlike the paper's (`decoder=luong2015`), the encoder
    may have another shape.
    """

    def make_start(self, final_width: int) -> None:
        self.initial = nn.Linear(final_width, 2 * len(self.cells) * self.width)

    def start(self, final: Tensor) -> tuple[Tensor, Tensor]:
        hidden, cell = by_layer(self.initial(final), len(self.cells))
        return torch.tanh(hidden), cell

    def make_readout(self, context_width: int) -> None:
        self.readout = nn.Linear(context_width + self.width, self.width, bias=False)

    def read_out(self, context: Tensor, top: Tensor) -> Tensor:
        return torch.tanh(linear(torch.cat([context, top], -1), self.readout.weight))
