"""Adam optimizer."""

from collections.abc import Iterable

import torch

from softlookup.contract import Optimizer
from softlookup.errors import UserError
from softlookup.optimizer.limits import check_limits


class Adam(Optimizer):
    """θ ← θ − rate · m̂ / (√v̂ + ε), m and v moving averages of gradients and their squares with decay β₁ and β₂.

    Kingma & Ba 2015, algorithm 1. Raises UserError for numbers outside their ranges.
    """

    def __init__(self, rate: float, beta1: float, beta2: float, epsilon: float, clip: float | None) -> None:
        check_limits(rate, clip)
        if not (0 <= beta1 < 1 and 0 <= beta2 < 1 and epsilon > 0):
            raise UserError(
                f"optimizer.beta1={beta1}, optimizer.beta2={beta2}, optimizer.epsilon={epsilon}: "
                "expected two numbers from 0 to below 1, and one above zero"
            )
        self.rate, self.clip = rate, clip
        self.betas, self.epsilon = (beta1, beta2), epsilon

    def build(self, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters, lr=self.rate, betas=self.betas, eps=self.epsilon, fused=True)
