"""Keep the learning rate constant, then halve it at regular intervals, as Luong and Sutskever do."""

from softlookup.contract import Schedule
from softlookup.errors import UserError


class Halving(Schedule):
    """factor = 1 up to the share `first` of the budget, then ½, halved again after every further share `every`.

    Luong et al. 2015, section 4.1: ten epochs, halved after the fifth and after every later one (first 0.5, every
    0.1). Sutskever et al. 2014, section 3.4: 7.5 epochs, halved after the fifth and then every half epoch (first 2/3,
    every 1/15). Raises UserError for shares outside [0, 1].
    """

    def __init__(self, first: float, every: float) -> None:
        if not (0 <= first <= 1 and 0 < every <= 1):
            raise UserError(f"schedule.first={first}, schedule.every={every}: expected shares of the budget, up to 1")
        self.first, self.every = first, every

    def factor(self, progress: float, step: int) -> float:  # noqa: ARG002
        # The small constant corrects rounding: in floats (0.7 − 0.5) / 0.1 is below 2.
        halvings = 0 if progress < self.first else 1 + int((progress - self.first) / self.every + 1e-9)
        return 0.5**halvings
