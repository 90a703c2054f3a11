"""Copy tensors to a device without waiting for it."""

import torch
from torch import Tensor


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor of the processor on `device`; what stands on it already is returned as it is.

    To a GPU the copy is queued behind the work that was given to it before, and the processor goes on. It needs
    page-locked memory for that: torch would wait for a copy from any other.
    """
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
