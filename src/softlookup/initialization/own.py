"""Keep each module's own initialization."""

from torch import Tensor

from softlookup.contract import Initialization, Role


class Own(Initialization):
    """Leave every weight as its module has initialized it."""

    def draw(self, role: Role, weight: Tensor) -> None:
        pass
