"""Adadelta, the optimizer of both papers of Cho, Bahdanau and Bengio."""

from collections.abc import Iterable

import torch

from softlookup.contract import Optimizer
from softlookup.errors import UserError
from softlookup.optimizer.limits import check_limits


class Adadelta(Optimizer):
    """θ ← θ − rate · (RMS[Δθ] / RMS[g]) g, RMS[x] = √(E[x²] + ε), E an exponential moving average with decay ρ.

    Zeiler 2012, algorithm 1, where the rate is 1. Raises UserError for numbers outside their ranges.
    """

    def __init__(self, rate: float, rho: float, epsilon: float, clip: float | None) -> None:
        check_limits(rate, clip)
        if not (0 <= rho < 1 and epsilon > 0):
            raise UserError(
                f"optimizer.rho={rho}, optimizer.epsilon={epsilon}: expected a number from 0 to below 1, and one "
                "above zero"
            )
        self.rate, self.clip = rate, clip
        self.rho, self.epsilon = rho, epsilon

    def build(self, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.Adadelta(parameters, lr=self.rate, rho=self.rho, eps=self.epsilon)
