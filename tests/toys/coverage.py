"""A toy score that uses the weights of earlier steps."""

from torch import Tensor

from softlookup.attention.dot import require_equal_widths
from softlookup.contract import History, Score


class Coverage(Score):
    """Score by q · k / D − Σ weights of earlier steps, a minimal coverage model (Tu et al. 2016)."""

    stepwise = True

    def __init__(self, query_width: int, key_width: int) -> None:
        super().__init__(query_width, key_width)
        require_equal_widths("coverage", query_width, key_width)

    def forward(self, query: Tensor, keys: Tensor, history: History) -> tuple[Tensor, History]:
        scores = query @ keys.transpose(-2, -1) / self.query_width
        covered = history.get("covered", scores.new_zeros(scores[..., 0, :].shape))
        return scores - covered.unsqueeze(-2), {"covered": covered}

    def update(self, history: History, weights: Tensor) -> History:
        return {"covered": history["covered"] + weights.sum(-2)}
