"""Reverse padded sources."""

import torch
from torch import Tensor


def backwards(mask: Tensor) -> Tensor:
    """Return indices (B, S) that reverse each row's real positions and keep its padding in place.

    mask (B, S) is true on real positions, which come first. The permutation is its own inverse.
    """
    positions = torch.arange(mask.size(1), device=mask.device)
    return torch.where(mask, mask.sum(1, keepdim=True) - 1 - positions, positions)
