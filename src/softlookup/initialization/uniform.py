"""Initialize all weights uniformly."""

from torch import Tensor

from softlookup.contract import Initialization, Role
from softlookup.errors import UserError


class Uniform(Initialization):
    """Draw every weight, including biases, uniformly from −bound to bound.

    Sutskever et al. 2014, section 3.4 (0.08); Luong et al. 2015, section 4.1 (0.1).

    Raises UserError for a bound that is not positive.
    """

    def __init__(self, bound: float) -> None:
        if bound <= 0:
            raise UserError(f"initialization.bound={bound}: expected a number above 0")
        self.bound = bound

    def draw(self, role: Role, weight: Tensor) -> None:  # noqa: ARG002
        weight.uniform_(-self.bound, self.bound)
