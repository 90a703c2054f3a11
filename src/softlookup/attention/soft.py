"""The soft lookup itself: every score and every normalizer passes through these three lines."""

from collections.abc import Callable

from torch import Tensor

from softlookup.contract import (
    Annotations,
    Attention,
    History,
    KeysAndValues,
    Memory,
    Normalizer,
    Reading,
    Score,
    View,
    Widths,
    Window,
)


def look_up(
    score: Callable[[Tensor, Tensor], Tensor], normalizer: Normalizer, query: Tensor, memory: KeysAndValues, view: View
) -> tuple[Tensor, Tensor]:
    """context (..., T, D) and weights (..., T, S) of a query (..., T, Q) that sees what its window lets it see."""
    scores = score(query, memory.keys)
    weights = view.narrow(normalizer(scores, view.mask))
    context = weights @ memory.values
    return context, weights


class SoftAttention(Attention):
    """context_t = Σ_s normalize(score(query_t, key_s)) · annotation_s: one lookup, nothing projected but by the score.

    Bahdanau et al. 2014, eqs. 5 and 6; Luong et al. 2015, eq. 7; through a window, their eq. 10. The values are the
    annotations as they are, 2n wide behind a bidirectional encoder.
    """

    kind = "lookup"

    def __init__(
        self,
        widths: Widths,
        score: Callable[[int, int], Score],
        normalizer: Normalizer,
        window: Callable[[int], Window],
    ) -> None:
        super().__init__()
        self.width = widths.annotation
        self.score = score(widths.query, widths.annotation)
        self.normalizer = normalizer
        self.window = window(widths.query)

    def prepare(self, annotations: Annotations) -> KeysAndValues:
        keys = self.score.prepare(annotations.states)
        return KeysAndValues(keys, annotations.states, self.score.reached(annotations.mask))

    def forward(self, query: Tensor, memory: Memory, history: History) -> Reading:
        assert isinstance(memory, KeysAndValues)
        view = self.window(query, memory.mask, history)
        context, weights = look_up(self.score, self.normalizer, query, memory, view)
        return Reading(context, weights, view.history)
