"""Score with a bilinear form of query and key."""

from torch import Tensor, nn

from softlookup.contract import History, Score


class General(Score):
    """qᵀ W k.  Luong et al. 2015, section 3.1 (general).  query (..., T, Q), keys (..., S, K) → scores (..., T, S).

    W k is computed once per source, so that a step costs what a dot product costs.
    A step of training takes time O(T·S·D) and memory O(T·D + S·D); decoding reads a state of O(S·D).
    """

    def __init__(self, query_width: int, key_width: int) -> None:
        super().__init__(query_width, key_width)
        self.bilinear = nn.Linear(key_width, query_width, bias=False)

    def prepare(self, annotations: Tensor) -> Tensor:
        return self.bilinear(annotations)

    def forward(self, query: Tensor, keys: Tensor, history: History) -> tuple[Tensor, History]:
        return query @ keys.transpose(-2, -1), history

    def as_dot(self, query: Tensor) -> tuple[Tensor, float]:
        return query, 1.0
