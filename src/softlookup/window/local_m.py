"""Restrict attention to a window around the target step's own position."""

import torch
from torch import Tensor

from softlookup.contract import History, View, Window
from softlookup.ranges import Size


class LocalM(Window):
    """At step t the positions t − D … t + D, D the `radius`.  Luong et al. 2015, section 3.2 (local-m, p_t = t).

    Weights are normalized over the window. Where it lies behind the end of the source, the query reads zero. The
    history holds the number of steps so far, step (B,).
    """

    def __init__(self, query_width: int, radius: Size) -> None:  # noqa: ARG002 - every window is built for a query
        super().__init__()
        self.radius = radius

    def forward(self, query: Tensor, mask: Tensor, history: History) -> View:
        batch, steps, _ = query.shape
        begun = history["step"] if "step" in history else torch.zeros(batch, dtype=torch.long, device=query.device)
        centers = begun.unsqueeze(1) + torch.arange(steps, device=query.device)
        positions = torch.arange(mask.size(-1), device=query.device)
        near = (positions - centers.unsqueeze(-1)).abs() <= self.radius
        return View(near & mask.unsqueeze(-2), None, {**history, "step": begun + steps})
