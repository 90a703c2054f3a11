"""Read the mean annotation at every step."""

from torch import Tensor

from softlookup.attention.fixed import FixedContext
from softlookup.contract import Annotations, Widths


class FixedMean(FixedContext):
    """c = (1/S) Σ_s h_s over real positions: attention with uniform weights.

    A step of training takes time O(S·D + T·D) and memory O(S·D + T·D); decoding reads a state of O(D).
    """

    def __init__(self, widths: Widths) -> None:
        super().__init__()
        self.width = widths.annotation

    def summarize(self, annotations: Annotations) -> Tensor:
        mask = annotations.mask.unsqueeze(-1)
        return (annotations.states * mask).sum(1) / mask.sum(1).clamp(min=1)
