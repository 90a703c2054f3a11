"""Score by the position of the key alone."""

import torch.nn.functional as F
from torch import Tensor, nn

from softlookup.contract import History, Score
from softlookup.ranges import Size


class Location(Score):
    """(W q)_s for the position s. Luong et al. 2015, eq. 8. query (..., T, Q), keys (..., S, 0) → (..., T, S).

    W has a row for each of the first `longest` positions. A shorter source uses the first rows; in a longer source,
    positions after the first `longest` are masked (footnote 6). The keys are empty: the score does not depend on the
    annotations. A step of training takes time O(T·S·D) and memory O(T·S + T·D); decoding reads a state of O(S·D).
    """

    position_dependent = True

    def __init__(self, query_width: int, key_width: int, longest: Size) -> None:
        super().__init__(query_width, key_width)
        self.reach = longest
        self.places = nn.Linear(query_width, longest, bias=False)

    def prepare(self, annotations: Tensor) -> Tensor:
        return annotations[..., :0]

    def forward(self, query: Tensor, keys: Tensor, history: History) -> tuple[Tensor, History]:
        length = keys.size(-2)
        scores = F.linear(query, self.places.weight[:length])
        return F.pad(scores, (0, length - scores.size(-1))), history
