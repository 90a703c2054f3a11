"""Score with the dot product of query and key."""

from torch import Tensor

from softlookup.contract import History, Score
from softlookup.errors import UserError


def require_equal_widths(name: str, query_width: int, key_width: int) -> None:
    """Raise UserError unless query and key have the same width above zero."""
    if query_width != key_width or query_width < 1:
        raise UserError(
            f"the {name} score needs queries and keys of one width above zero, got {query_width} and {key_width}; "
            f"set decoder.width to the width of the annotations (2 × encoder.width when bidirectional), "
            f"or choose attention=general, or attention.heads=1, which projects both"
        )


class Dot(Score):
    """q · k.  Luong et al. 2015, section 3.1 (dot).  query (..., T, D), keys (..., S, D) → scores (..., T, S).

    A step of training takes time O(T·S·D) and memory O(T·D + S·D); decoding reads a state of O(S·D).
    """

    def __init__(self, query_width: int, key_width: int) -> None:
        super().__init__(query_width, key_width)
        require_equal_widths("dot", query_width, key_width)

    def forward(self, query: Tensor, keys: Tensor, history: History) -> tuple[Tensor, History]:
        return query @ keys.transpose(-2, -1), history

    def as_dot(self, query: Tensor) -> tuple[Tensor, float]:
        return query, 1.0
