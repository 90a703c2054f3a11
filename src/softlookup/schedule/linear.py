"""Warm the learning rate up linearly, then decay it linearly."""

from softlookup.contract import Schedule
from softlookup.errors import UserError


class Linear(Schedule):
    """factor from 0 to 1 over the first share `warmup` of the budget, then down to `final` at its end.

    The curve has the same shape for every budget. Raises UserError for values outside [0, 1].
    """

    def __init__(self, warmup: float, final: float) -> None:
        if not (0 <= warmup < 1 and 0 <= final <= 1):
            raise UserError(f"schedule.warmup={warmup}, schedule.final={final}: expected shares from 0 to 1")
        self.warmup, self.final = warmup, final

    def factor(self, progress: float, step: int) -> float:  # noqa: ARG002
        if progress < self.warmup:
            return progress / self.warmup
        left = (1 - progress) / (1 - self.warmup)
        return self.final + (1 - self.final) * max(0.0, left)
