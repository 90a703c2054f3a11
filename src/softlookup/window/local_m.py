"""Restrict attention to a window around the source position with the index of the target step."""

import torch
from torch import Tensor

from softlookup.contract import History, View, Window
from softlookup.ranges import Size


class LocalM(Window):
    """At step t, positions t − D … t + D are visible, D = `radius`.  Luong et al. 2015, section 3.2 (local-m, p_t = t).

    Weights are normalized over the window. If the window is past the end of the source, the context is zero. The
    history holds the number of steps so far, step (B,).
    """

    def __init__(self, query_width: int, radius: Size) -> None:  # noqa: ARG002 - same signature as the other windows
        super().__init__()
        self.radius = radius

    def forward(self, query: Tensor, mask: Tensor, history: History) -> View:
        batch, steps, _ = query.shape
        first = history["step"] if "step" in history else torch.zeros(batch, dtype=torch.long, device=query.device)
        centers = first.unsqueeze(1) + torch.arange(steps, device=query.device)
        positions = torch.arange(mask.size(-1), device=query.device)
        near = (positions - centers.unsqueeze(-1)).abs() <= self.radius
        return View(near & mask.unsqueeze(-2), None, {**history, "step": first + steps})
