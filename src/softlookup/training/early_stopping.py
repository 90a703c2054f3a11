"""Track the best validation, and decide when to stop early."""

from typing import Any

from torch import Tensor, nn

LOWER = frozenset({"validation/loss"})  # for every other metric, higher is better


class Watch:
    """Track the best value of one validation metric, and the weights of that validation if they are kept.

    `metric` is a key of a validation's values. With `keep` the weights of the first validation with the best value are
    held; with `patience` = n a run is `over` after n validations in a row without improvement. `best` holds value, step
    and tokens of the best validation, and all its values.
    """

    def __init__(self, metric: str = "validation/loss", keep: bool = False, patience: int | None = None) -> None:
        self.metric = metric
        self.keep = keep
        self.patience = patience
        self.best: dict[str, Any] | None = None
        self.waited = 0
        self._weights: dict[str, Tensor] = {}

    @property
    def over(self) -> bool:
        """Return whether patience has run out."""
        return self.patience is not None and self.waited >= self.patience

    def observe(self, values: dict[str, float], step: int, tokens: int, model: nn.Module) -> None:
        """Observe the values of a validation, and the model that it measured."""
        value = values[self.metric]
        if self.best is not None and not self._better(value, self.best["value"]):
            self.waited += 1
            return
        self.best = {"value": value, "step": step, "tokens": tokens, "values": dict(values)}
        self.waited = 0
        if self.keep:
            self._weights = {name: weight.detach().clone() for name, weight in model.state_dict().items()}

    def copy_to(self, model: nn.Module) -> None:
        """Copy the best weights to the model, if they are kept."""
        if self._weights:
            model.load_state_dict(self._weights)

    def _better(self, value: float, best: float) -> bool:
        return value < best if self.metric in LOWER else value > best

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "waited": self.waited, "weights": dict(self._weights)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best, self.waited, self._weights = state["best"], state["waited"], dict(state["weights"])
