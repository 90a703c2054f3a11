"""Encode positions as sinusoids."""

import math

import torch
from torch import Tensor


def sinusoids(first: int, count: int, width: int, like: Tensor) -> Tensor:
    """PE(p, 2i) = sin(p / 10000^{2i/D}), PE(p, 2i+1) = cos(…), for `count` positions from `first` on → (count, D).

    Vaswani et al. 2017, section 3.5. The result has the device and dtype of `like`. Defined for every length, so a
    model can be tested beyond its training lengths.
    """
    positions = torch.arange(first, first + count, device=like.device, dtype=torch.float64).unsqueeze(1)
    rates = torch.exp(torch.arange(0, width, 2, device=like.device, dtype=torch.float64) * (-math.log(10000.0) / width))
    angles = positions * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :width].to(like.dtype)
