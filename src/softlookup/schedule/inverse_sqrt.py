"""Schedule the learning rate as the Transformer's paper does."""

from softlookup.contract import Schedule
from softlookup.errors import UserError


class InverseSqrt(Schedule):
    """min(step / warm_up_steps, √(warm_up_steps / step)): up in a straight line, then down as 1/√step.

    Vaswani et al. 2017, eq. 3: its rate D^−½ · min(step^−½, step · warm_up_steps^−3/2) is this with the peak
    optimizer.rate = (D · warm_up_steps)^−½. Raises UserError without a first step.
    """

    follows_budget = False

    def __init__(self, warm_up_steps: int) -> None:
        if warm_up_steps < 1:
            raise UserError(f"schedule.warm_up_steps={warm_up_steps}: expected at least 1")
        self.steps = warm_up_steps

    def factor(self, progress: float, step: int) -> float:  # noqa: ARG002
        return min(step / self.steps, (self.steps / step) ** 0.5)

    def notes(self, budget: int, steps: int) -> list[str]:
        """That the run ends before the warm-up does, where it does."""
        if steps >= self.steps:
            return []
        return [
            f"schedule=inverse_sqrt warms up for {self.steps:,} steps, and budget={budget} ends after about {steps:,}: "
            "the rate never reaches its peak; raise budget, or lower schedule.warm_up_steps"
        ]
