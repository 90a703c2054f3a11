"""Reverse padded sources."""

import torch
from torch import Tensor


def backwards(mask: Tensor) -> Tensor:
    """Indices (B, S) that turn each row's real positions round and leave its padding where it is.

    mask (B, S) is true on real positions, which come first. Applied twice, the indices undo themselves.
    """
    positions = torch.arange(mask.size(1), device=mask.device)
    return torch.where(mask, mask.sum(1, keepdim=True) - 1 - positions, positions)
