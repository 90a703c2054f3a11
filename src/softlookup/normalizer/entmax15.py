"""Normalize with 1.5-entmax, between softmax and sparsemax."""

import entmax
from torch import Tensor

from softlookup.contract import Normalizer
from softlookup.normalizer.sparse import cumulative_sums, mask_out


class Entmax15(Normalizer):
    """w = argmax_{p ∈ Δ} pᵀe + H_{1.5}(p), the 1.5-entmax.  Peters, Niculae & Martins 2019, eq. 7 with α = 1.5."""

    def forward(self, scores: Tensor, mask: Tensor) -> Tensor:
        with cumulative_sums():
            return entmax.entmax15(mask_out(scores, mask), dim=-1) * mask
