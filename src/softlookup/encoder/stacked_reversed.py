"""Encode with a stack that reads the source from its end to its beginning."""

from dataclasses import replace

from torch import Tensor

from softlookup.contract import Annotations
from softlookup.encoder.order import backwards
from softlookup.encoder.stacked import Stacked


class StackedReversed(Stacked):
    """Apply `Stacked` to x_S … x_1, so that the first words are read last, next to the target's first.

    Sutskever et al. 2014, section 3.3; Luong et al. 2015, section 4.2. Annotation s still belongs to x_s: weights and
    alignments are in the source's original order. EOS is read first.
    """

    def forward(self, source: Tensor, mask: Tensor, lengths: Tensor | None = None) -> Annotations:
        order = backwards(mask)
        read = super().forward(source.gather(1, order), mask, lengths)
        return replace(read, states=read.states.take_along_dim(order.unsqueeze(-1), 1))
