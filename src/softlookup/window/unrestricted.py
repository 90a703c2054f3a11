"""Allow every source position. (The choice is called global, a Python keyword that cannot name a module.)"""

from torch import Tensor

from softlookup.contract import History, View, Window


class Global(Window):
    """All real positions are visible, with unchanged weights.  Luong et al. 2015, section 3.1."""

    def __init__(self, query_width: int) -> None:  # noqa: ARG002 - same signature as the other windows
        super().__init__()

    def forward(self, query: Tensor, mask: Tensor, history: History) -> View:  # noqa: ARG002
        return View(mask.unsqueeze(-2), None, history)
