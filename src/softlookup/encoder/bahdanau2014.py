"""Encode as RNNsearch does (Bahdanau et al. 2014, appendix A.2.1)."""

import torch
from torch import Tensor

from softlookup.contract import Annotations
from softlookup.encoder.gated import GatedEncoder
from softlookup.ranges import Dropout, Size


class Bahdanau2014(GatedEncoder):
    """h_s = (1 − z) ∘ h_{s−1} + z ∘ h̃_s in both directions. Bahdanau et al. 2014, appendix A.2.1.

    The annotation of s is [→h_s ; ←h_s] (eq. 7), 2n wide. The final state is ←h_1 alone, n wide: the backward state
    that has read the whole source, from which s_0 = tanh(W_s ←h_1). Dropout, which the paper does not use, applies to
    embeddings, annotations and the final state.
    """

    def __init__(self, vocabulary: int, embedding: Size, width: Size, dropout: Dropout) -> None:
        super().__init__(vocabulary, embedding, width, 2, dropout)
        self.width, self.final_width = 2 * width, width

    def mix(self, before: Tensor, candidate: Tensor, update: Tensor) -> Tensor:
        return torch.lerp(before, candidate, update)

    def forward(self, source: Tensor, mask: Tensor, lengths: Tensor | None = None) -> Annotations:  # noqa: ARG002
        states, last = self.read(source, mask)
        return Annotations(self.dropout(states), mask, self.dropout(last[1]))
