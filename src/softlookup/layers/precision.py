"""Say in which floating-point type products are computed, and what stays in float32."""

from __future__ import annotations

import torch
from torch import Tensor


def product_type(weight: Tensor) -> torch.dtype:
    """Return the type in which to multiply by `weight`: bf16 within `torch.autocast`, its own otherwise."""
    kind = weight.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype


def full(tensor: Tensor) -> Tensor:
    """Return a bf16 tensor in float32, any other unchanged: states, sums and norms are not computed in bf16."""
    return tensor.float() if tensor.dtype == torch.bfloat16 else tensor
