"""Score with the dot product, scaled to unit variance."""

from torch import Tensor

from softlookup.attention.dot import require_equal_widths
from softlookup.contract import History, Score


class ScaledDot(Score):
    """q · k / √D.  Vaswani et al. 2017, eq. 1.  query (..., T, D), keys (..., S, D) → scores (..., T, S).

    A step of training takes time O(T·S·D) and memory O(T·D + S·D); decoding reads a state of O(S·D).
    """

    def __init__(self, query_width: int, key_width: int) -> None:
        super().__init__(query_width, key_width)
        require_equal_widths("scaled_dot", query_width, key_width)

    def forward(self, query: Tensor, keys: Tensor, history: History) -> tuple[Tensor, History]:
        return query @ keys.transpose(-2, -1) * self.query_width**-0.5, history

    def as_dot(self, query: Tensor) -> tuple[Tensor, float]:
        return query, self.query_width**-0.5
