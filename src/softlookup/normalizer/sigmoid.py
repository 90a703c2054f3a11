"""Normalize each position independently with a sigmoid."""

from torch import Tensor

from softlookup.contract import Normalizer


class Sigmoid(Normalizer):
    """w_s = σ(e_s − log n) with n real positions.  Ramapuram et al. 2024 (Sigmoid Self-Attention), section 3.

    Row sums are between 0 and n. The offset makes them about one at the start of training, where scores are near zero;
    without it contexts of long sources would start n/2 times too large.
    """

    row_sum = None

    def forward(self, scores: Tensor, mask: Tensor) -> Tensor:
        count = mask.sum(-1, keepdim=True).clamp(min=1).to(scores.dtype)
        return (scores - count.log()).sigmoid() * mask
