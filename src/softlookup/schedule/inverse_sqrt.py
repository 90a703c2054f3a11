"""Schedule the learning rate as in the Transformer paper: linear warm-up, then inverse square root."""

from softlookup.contract import Schedule
from softlookup.errors import UserError


class InverseSqrt(Schedule):
    """factor = min(step / warm_up_steps, √(warm_up_steps / step)): linear warm-up, then decay as 1/√step.

    Vaswani et al. 2017, eq. 3: its rate D^−½ · min(step^−½, step · warm_up_steps^−3/2) is this factor times
    optimizer.rate = (D · warm_up_steps)^−½, the peak. Raises UserError for warm_up_steps below 1.
    """

    follows_budget = False

    def __init__(self, warm_up_steps: int) -> None:
        if warm_up_steps < 1:
            raise UserError(f"schedule.warm_up_steps={warm_up_steps}: expected at least 1")
        self.steps = warm_up_steps

    def factor(self, progress: float, step: int) -> float:  # noqa: ARG002
        return min(step / self.steps, (self.steps / step) ** 0.5)

    def notes(self, budget: int, steps: int) -> list[str]:
        """Warn where the run ends before the warm-up does."""
        if steps >= self.steps:
            return []
        return [
            f"schedule=inverse_sqrt warms up for {self.steps:,} steps, and budget={budget} ends after about {steps:,}: "
            "the rate never reaches its peak; raise budget, or lower schedule.warm_up_steps"
        ]
