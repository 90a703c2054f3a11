"""Drop random elements."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_LEVELS = 2**16


class Drop(nn.Module):
    """y = x ∘ m / q, each m independently 1 with probability q = 1 − `share`, in training mode (Hinton et al. 2012).

    On the processor, torch draws a double for each element, which takes longer than the rest of the operation. Here,
    four elements share a 64-bit random number: q is a multiple of 2⁻¹⁶, within 2⁻¹⁷ of the given one, and y has the
    expectation x.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.share == 0:
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self.share)
        kept = max(1, round((1 - self.share) * _LEVELS))
        numbers = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
        lanes = numbers.view(torch.int16)[: x.numel()].view(x.shape)
        return x * (lanes < kept - _LEVELS // 2).to(x.dtype).mul_(_LEVELS / kept)
