"""Keep the learning rate constant."""

from softlookup.contract import Schedule


class Constant(Schedule):
    """factor = 1 at every step."""

    follows_budget = False

    def factor(self, progress: float, step: int) -> float:  # noqa: ARG002
        return 1.0
