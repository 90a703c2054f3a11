"""Decode as Sutskever does: a stack that starts from the encoder's last states, whose top state is the readout."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from softlookup.contract import Attention, Widths
from softlookup.decoder.stack import EncoderInitialized
from softlookup.ranges import Dropout, Layers, Size


class Sutskever2014(EncoderInitialized):
    """Decode with stacked LSTM layers, whose top state enters the softmax.  Sutskever et al. 2014, sections 2 and 3.4::

        s_t = LSTM(E y_{t−1}, s_{t−1})
        readout_t = s_t + C c_t

    s_0 is hidden and cell of the encoder's layers, unchanged. With `attention=fixed_initial` it is all that is known of
    the source: c_t has width 0 and C c_t is zero. With an attention, which the paper does not use, c_t = lookup(s_t,
    annotations), and the output layer is the same.

    Raises UserError unless the encoder's final state has the width of these layers.
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
        initial = torch.empty(self.width, context_width).uniform_(-1, 1) * self.width**-0.5
        self.readout_from_context = nn.Parameter(initial)

    def read_out(self, context: Tensor, top: Tensor) -> Tensor:
        return top + F.linear(context, self.readout_from_context)
