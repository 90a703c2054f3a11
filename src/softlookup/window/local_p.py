"""Restrict attention to a window around a position that the query predicts."""

import torch
from torch import Tensor, nn

from softlookup.contract import History, View, Window
from softlookup.ranges import Size


class LocalP(Window):
    """Around p_t = n · σ(vᵀ tanh(W q_t)), n the number of real positions.  Luong et al. 2015, eqs. 9 and 10 (local-p).

    Positions count from 1 to n, as in the paper. Weights are normalized over positions with |s − p_t| ≤ D, D the
    `radius`, and then multiplied by exp(−(s − p_t)² / 2σ²), σ = D/2. The factor is applied after the normalizer, so
    rows sum to less than before, and it is the path by which gradients reach v and W.
    """

    def __init__(self, query_width: int, radius: Size) -> None:
        super().__init__()
        self.radius = radius
        self.hidden = nn.Linear(query_width, query_width, bias=False)
        self.place = nn.Linear(query_width, 1, bias=False)

    def forward(self, query: Tensor, mask: Tensor, history: History) -> View:
        lengths = mask.sum(-1)[:, None, None]
        centers = lengths * torch.sigmoid(self.place(torch.tanh(self.hidden(query))))
        distances = torch.arange(1, mask.size(-1) + 1, device=query.device) - centers
        factor = torch.exp(-2 * (distances / self.radius).square())
        return View((distances.abs() <= self.radius) & mask.unsqueeze(-2), factor, history)
