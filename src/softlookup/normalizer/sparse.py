"""Mask scores for sparse normalizers, so that masked positions cannot be chosen."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

# With the row's maximum at 0, no position at or below -1 (sparsemax) or -2 (1.5-entmax) has any weight.
_NEVER_CHOSEN = -4.0


def mask_out(scores: Tensor, mask: Tensor) -> Tensor:
    """Shift scores (..., T, S) to a maximum of 0 over real positions; set masked ones so low that they get no weight.

    Both normalizers are invariant to the shift. Masked scores are a moderate number instead of -inf, which the sorting
    and cumulative sums of the normalizers would turn into NaN.
    """
    largest = scores.masked_fill(~mask, -torch.inf).amax(-1, keepdim=True).detach()
    shifted = scores - torch.where(largest.isfinite(), largest, 0.0)
    return shifted.masked_fill(~mask, _NEVER_CHOSEN)


@contextmanager
def cumulative_sums() -> Iterator[None]:
    """Allow torch.cumsum on CUDA within the block, where torch's deterministic mode refuses it.

    The order of summation varies only within one long row. Of several rows, as here, each is summed in a fixed order.
    """
    mode = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode("default")
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(mode)
