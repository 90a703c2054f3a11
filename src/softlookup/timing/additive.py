"""Measure additive attention alone, forward and backward, computed in several ways."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from softlookup.evaluation.ledger import Ledger

BATCH, WIDTH = 8, 128
LARGEST = 8e9  # bytes: what needs more is not run
Attend = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]


def naive(query: Tensor, keys: Tensor, vector: Tensor, values: Tensor, mask: Tensor) -> Tensor:
    """Return the context as `additive.attend` does, from all weights."""
    scores = torch.tanh(query.unsqueeze(-2) + keys.unsqueeze(-3)) @ vector[:, None, :, None]
    return scores.squeeze(-1).masked_fill(~mask, torch.finfo(scores.dtype).min).softmax(-1) @ values


def extra_bytes(attend: Attend, length: int, width: int = WIDTH) -> int:
    """Return the peak of tensors beyond the inputs, their gradients and the context at T = S = `length`, in bytes,
    predicted from fake tensors."""
    with FakeTensorMode():
        step = step_of(attend, length, width, torch.device("cpu"))
        with Ledger(torch.device("cpu"), nn.Identity()) as ledger:
            step()
    kept = 4 * (4 * BATCH * length * width + width)
    return max(0, ledger.peak["activations"] + ledger.peak["temporaries"] - kept)


def step_of(attend: Attend, length: int, width: int, device: torch.device) -> Callable[[], None]:
    """Return a function that computes context and gradients once, and returns when the device has finished."""
    query, keys, values = (torch.randn(BATCH, 1, length, width, device=device, requires_grad=True) for _ in range(3))
    vector = torch.randn(1, width, device=device, requires_grad=True)
    mask = torch.ones(BATCH, 1, 1, length, dtype=torch.bool, device=device)
    gradient = torch.randn(BATCH, 1, length, width, device=device)

    def step() -> None:
        context = attend(query, keys, vector, values, mask)
        torch.autograd.grad(context, (query, keys, vector, values), gradient)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return step
