"""Plain stochastic gradient descent."""

from collections.abc import Iterable

import torch

from softlookup.contract import Optimizer
from softlookup.optimizer.limits import check_limits


class Sgd(Optimizer):
    """θ ← θ − rate · g, without momentum.

    Luong et al. 2015, section 4.1, and Sutskever et al. 2014, section 3.4. Raises UserError for numbers outside their
    ranges.
    """

    def __init__(self, rate: float, clip: float | None) -> None:
        check_limits(rate, clip)
        self.rate, self.clip = rate, clip

    def build(self, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, lr=self.rate)
