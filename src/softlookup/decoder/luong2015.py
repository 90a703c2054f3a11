"""Luong's decoder as published: every layer goes on where the encoder's own layer ended."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from softlookup.contract import Attention, Widths
from softlookup.decoder.stack import StackedDecoder, handed_on, require_handed_on


class Luong2015(StackedDecoder):
    """Stacked LSTM layers that look after they stepped.  Luong et al. 2015, sections 3 and 3.3::

        s_t = LSTM([E y_{t−1} ; h̃_{t−1}], s_{t−1})        h̃ enters with input feeding alone; h̃_0 = 0
        c_t = lookup(s_t, annotations)
        readout_t = h̃_t = tanh(W_c [c_t ; s_t])           (eq. 5)

    s_0 is hidden and cell of the encoder's layers, unchanged.

    Raises UserError when the encoder's final state has another width than that of these layers.
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
        require_handed_on("luong2015", final_width, layers, width)
        widths = Widths(width, annotation_width, final_width)
        super().__init__(vocabulary, widths, attention, embedding, layers, input_feeding, dropout)
        self.readout = nn.Linear(self.attention.width + width, width, bias=False)

    def start(self, final: Tensor) -> tuple[Tensor, Tensor]:
        return handed_on(final, len(self.cells))

    def read_out(self, context: Tensor, top: Tensor) -> Tensor:
        return torch.tanh(self.readout(torch.cat([context, top], -1)))
