"""Sutskever's decoder: a stack that goes on where the encoder ended, read out as it is."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from softlookup.contract import Attention, Widths
from softlookup.decoder.stack import StackedDecoder, handed_on, require_handed_on


class Sutskever2014(StackedDecoder):
    """Stacked LSTM layers, their top state ahead of the softmax.  Sutskever et al. 2014, sections 2 and 3.4::

        s_t = LSTM(E y_{t−1}, s_{t−1})
        readout_t = s_t + C c_t

    s_0 is hidden and cell of the encoder's layers, unchanged, and with `attention=fixed_initial` all that is known of
    the source: c_t has width 0 and C is a product with nothing. With an attention, which the paper has not, c_t =
    lookup(s_t, annotations), and the output layer is the same.

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
        dropout: float,
    ) -> None:
        require_handed_on("sutskever2014", final_width, layers, width)
        widths = Widths(width, annotation_width, final_width)
        super().__init__(vocabulary, widths, attention, embedding, layers, False, dropout)
        context = self.attention.width
        self.readout_from_context = nn.Parameter(torch.empty(width, context).uniform_(-1, 1) * width**-0.5)

    def start(self, final: Tensor) -> tuple[Tensor, Tensor]:
        return handed_on(final, len(self.cells))

    def read_out(self, context: Tensor, top: Tensor) -> Tensor:
        return top + F.linear(context, self.readout_from_context)
