"""Encode as RNNencdec does (Cho et al. 2014, appendix A.1.1)."""

import torch
from torch import Tensor, nn

from softlookup.contract import Annotations
from softlookup.encoder.gated import GatedEncoder
from softlookup.ranges import Dropout, Size


class Cho2014(GatedEncoder):
    """h_s = z ∘ h_{s−1} + (1 − z) ∘ h̃_s, and the summary c = tanh(V h_S).  Cho et al. 2014, appendix A.1.1.

    The annotations are the states, n wide; the final state is c. Dropout, which the paper does not use, applies to
    embeddings, annotations and c.
    """

    def __init__(self, vocabulary: int, embedding: Size, width: Size, dropout: Dropout) -> None:
        super().__init__(vocabulary, embedding, width, 1, dropout)
        self.summary = nn.Linear(width, width)
        self.width = self.final_width = width

    def mix(self, before: Tensor, candidate: Tensor, update: Tensor) -> Tensor:
        return torch.lerp(candidate, before, update)

    def forward(self, source: Tensor, mask: Tensor, lengths: Tensor | None = None) -> Annotations:  # noqa: ARG002
        states, last = self.read(source, mask)
        return Annotations(self.dropout(states), mask, self.dropout(torch.tanh(self.summary(last[0]))))
