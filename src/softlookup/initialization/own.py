"""Keep each part's own initialization."""

from torch import Tensor

from softlookup.contract import Initialization, Role


class Own(Initialization):
    """Every weight stays as its part has drawn it."""

    def draw(self, role: Role, weight: Tensor) -> None:
        pass
