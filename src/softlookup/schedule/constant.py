"""Keep the learning rate constant."""

from softlookup.contract import Schedule


class Constant(Schedule):
    """1, from the first step to the last."""

    follows_budget = False

    def factor(self, progress: float, step: int) -> float:  # noqa: ARG002
        return 1.0
