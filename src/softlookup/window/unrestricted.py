"""Allow every source position. (A module named like the choice, global, cannot be imported in Python.)"""

from torch import Tensor

from softlookup.contract import History, View, Window


class Global(Window):
    """Every real position may be looked at and keeps its weight.  Luong et al. 2015, section 3.1."""

    def __init__(self, query_width: int) -> None:  # noqa: ARG002 - every window is built for a query
        super().__init__()

    def forward(self, query: Tensor, mask: Tensor, history: History) -> View:  # noqa: ARG002
        return View(mask.unsqueeze(-2), None, history)
