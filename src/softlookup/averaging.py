"""The mean of a model's weights over the end of its training."""

from typing import Any

import torch
from torch import Tensor, nn


class Average:
    """θ̄ = (1/n) Σ θ_i over the weights behind the last `last` of `validations` validations.

    They lie at equal shares of the budget. Vaswani et al. 2017, section 6.1, average the last 5 or 20 checkpoints in
    this way. With `last` 0 nothing is averaged. One sum is kept, in float64, however many there are.
    """

    def __init__(self, last: int, validations: int) -> None:
        # Half a share ahead of the first that counts: batches do not end where shares do.
        self.begins = 1 - (last - 0.5) / validations
        self.count = 0
        self._sum: dict[str, Tensor] = {}

    def take(self, progress: float, model: nn.Module) -> None:
        """Count the weights of a validation at `progress` in, if it is one of the last."""
        if progress <= self.begins:
            return
        self.count += 1
        for name, value in model.state_dict().items():
            own = value.detach().to(torch.float64)
            self._sum[name] = self._sum[name] + own if name in self._sum else own.clone()

    def into(self, model: nn.Module) -> None:
        """Give the model the mean of what was taken; without any it keeps its own."""
        if self.count:
            kinds = {name: value.dtype for name, value in model.state_dict().items()}
            model.load_state_dict({name: (total / self.count).to(kinds[name]) for name, total in self._sum.items()})

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count, "sum": dict(self._sum)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.count, self._sum = state["count"], dict(state["sum"])
