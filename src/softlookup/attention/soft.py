"""The soft lookup itself: every score and every normalizer passes through these three lines."""

from collections.abc import Callable

from torch import Tensor

from softlookup.contract import Annotations, Attention, History, Memory, Normalizer, Reading, Score, Widths


def look_up(
    score: Callable[[Tensor, Tensor], Tensor], normalizer: Normalizer, query: Tensor, memory: Memory, mask: Tensor
) -> tuple[Tensor, Tensor]:
    """context (..., T, D) and weights (..., T, S) of a query (..., T, Q); `mask` broadcasts to the weights."""
    scores = score(query, memory.keys)
    weights = normalizer(scores, mask)
    context = weights @ memory.values
    return context, weights


class SoftAttention(Attention):
    """context_t = Σ_s normalize(score(query_t, key_s)) · annotation_s: one lookup, nothing projected but by the score.

    Bahdanau et al. 2014, eqs. 5 and 6; Luong et al. 2015, eq. 7. The values are the annotations as they are,
    2n wide behind a bidirectional encoder.
    """

    def __init__(self, widths: Widths, score: Callable[[int, int], Score], normalizer: Normalizer) -> None:
        super().__init__()
        self.width = widths.annotation
        self.score = score(widths.query, widths.annotation)
        self.normalizer = normalizer

    def prepare(self, annotations: Annotations) -> Memory:
        return Memory(self.score.prepare(annotations.states), annotations.states, annotations.mask)

    def forward(self, query: Tensor, memory: Memory, history: History) -> Reading:
        context, weights = look_up(self.score, self.normalizer, query, memory, memory.mask.unsqueeze(-2))
        return Reading(context, weights, history)
