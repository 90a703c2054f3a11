"""Adam with a warm-up and a linear decay, both as shares of the budget."""

import math
from collections.abc import Iterable

import torch

from softlookup.errors import UserError


class Adam:
    """Adam (Kingma & Ba 2015), gradients clipped to norm `clip`, learning rate `rate` · factor(progress).

    factor rises from 0 to 1 over the first `warmup` of the budget and falls to `final` at its end, linearly.
    Raises UserError for a rate that is not positive, or shares outside [0, 1].
    """

    def __init__(self, rate: float, warmup: float, final: float, clip: float) -> None:
        if not (0 < rate < math.inf and clip > 0):
            raise UserError(f"optimizer.rate={rate}, optimizer.clip={clip}: expected numbers above zero")
        if not (0 <= warmup < 1 and 0 <= final <= 1):
            raise UserError(f"optimizer.warmup={warmup}, optimizer.final={final}: expected shares from 0 to 1")
        self.rate = rate
        self.warmup = warmup
        self.final = final
        self.clip = clip

    def build(self, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters, lr=self.rate)

    def factor(self, progress: float) -> float:
        """The share of the rate at `progress` through the budget."""
        if progress < self.warmup:
            return progress / self.warmup
        left = (1 - progress) / (1 - self.warmup)
        return self.final + (1 - self.final) * max(0.0, left)
