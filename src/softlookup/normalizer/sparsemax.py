"""Normalize by projection onto the simplex: most weights are exactly zero."""

import entmax
from torch import Tensor

from softlookup.contract import Normalizer
from softlookup.normalizer.sparse import cumulative_sums, mask_out


class Sparsemax(Normalizer):
    """w = argmin_{p ∈ Δ} ‖p − e‖².  Martins & Astudillo 2016, eq. 2."""

    def forward(self, scores: Tensor, mask: Tensor) -> Tensor:
        with cumulative_sums():
            return entmax.sparsemax(mask_out(scores, mask), dim=-1) * mask
