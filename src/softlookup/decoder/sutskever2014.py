"""Sutskever's decoder: a stack that goes on where the encoder ended, read out as it is."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from softlookup.contract import Attention, Widths
from softlookup.decoder.stack import HandedOn
from softlookup.ranges import Dropout, Layers, Size


class Sutskever2014(HandedOn):
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
        embedding: Size,
        width: Size,
        layers: Layers,
        dropout: Dropout,
    ) -> None:
        super().__init__(
            vocabulary, annotation_width, final_width, attention, embedding, width, layers, False, dropout
        )  # fmt: skip

    def make_readout(self, context_width: int) -> None:
        drawn = torch.empty(self.width, context_width).uniform_(-1, 1) * self.width**-0.5
        self.readout_from_context = nn.Parameter(drawn)

    def read_out(self, context: Tensor, top: Tensor) -> Tensor:
        return top + F.linear(context, self.readout_from_context)
