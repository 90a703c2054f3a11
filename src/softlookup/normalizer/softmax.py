"""Normalize with the softmax."""

import torch
from torch import Tensor

from softlookup.contract import Normalizer


class Softmax(Normalizer):
    """w_s = exp(e_s) / Σ_s' exp(e_s') over real positions.  Bahdanau et al. 2014, eq. 6."""

    is_softmax = True

    def forward(self, scores: Tensor, mask: Tensor) -> Tensor:
        # The lowest finite number instead of -inf keeps fully masked rows and their gradients finite.
        lowest = torch.finfo(scores.dtype).min
        return scores.masked_fill(~mask, lowest).softmax(-1) * mask
