"""Mask scores for sparse normalizers, so that masked positions cannot be chosen."""

import torch
from torch import Tensor

# With the row's maximum at 0, no position at or below -1 (sparsemax) or -2 (1.5-entmax) has any weight.
_NEVER_CHOSEN = -4.0


def mask_out(scores: Tensor, mask: Tensor) -> Tensor:
    """Scores (..., T, S) shifted to a maximum of 0 over real positions, masked ones where no weight can fall.

    Both normalizers are invariant to the shift. A moderate number takes the place of -inf, which their sorting and
    cumulative sums would turn into NaN.
    """
    largest = scores.masked_fill(~mask, -torch.inf).amax(-1, keepdim=True).detach()
    shifted = scores - torch.where(largest.isfinite(), largest, 0.0)
    return shifted.masked_fill(~mask, _NEVER_CHOSEN)
