"""Average a model's weights over the last validations."""

from typing import Any

import torch
from torch import Tensor, nn


class Average:
    """Compute θ̄ = (1/n) Σ θ_k over the weights at the last n = `last` of `count` equal shares of the budget.

    Vaswani et al. 2017, section 6.1, average the last 5 or 20 checkpoints in this way. Weights after a step that
    crosses the ends of several shares count for each of them; `different` counts them once. With `last` 0 nothing is
    averaged. Only one sum is kept, in float64.
    """

    def __init__(self, last: int, count: int) -> None:
        self.first = count - last  # number of shares before the averaged ones
        self.count = self.different = 0
        self._sum: dict[str, Tensor] = {}

    def take(self, before: int, now: int, model: nn.Module) -> None:
        """Add the weights of a model for those of the shares `before` + 1 to `now` that are among the last."""
        times = now - max(before, self.first)
        if times <= 0:
            return
        self.count += times
        self.different += 1
        for name, value in model.state_dict().items():
            weighted = value.detach().to(torch.float64) * times
            # A sum from a checkpoint is on the CPU.
            self._sum[name] = self._sum[name].to(value.device) + weighted if name in self._sum else weighted

    def copy_to(self, model: nn.Module) -> None:
        """Copy the averaged weights to the model; without any it keeps its weights."""
        if self.count:
            kinds = {name: value.dtype for name, value in model.state_dict().items()}
            model.load_state_dict({name: (total / self.count).to(kinds[name]) for name, total in self._sum.items()})

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count, "different": self.different, "sum": dict(self._sum)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.count, self.different, self._sum = state["count"], state.get("different", 0), dict(state["sum"])
