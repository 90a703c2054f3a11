"""Read the encoder's final state at every step."""

from torch import Tensor

from softlookup.attention.fixed import FixedContext
from softlookup.contract import Annotations, Widths


class FixedFinal(FixedContext):
    """c = h_S. Cho et al. 2014, section 2.2 (RNN encoder-decoder): the summary enters every decoder step.

    With a bidirectional encoder it is the concatenation of both directions' last states.
    A step of training takes time O(T·D) and memory O(T·D); decoding reads a state of O(D).
    """

    def __init__(self, widths: Widths) -> None:
        super().__init__()
        self.width = widths.final

    def summarize(self, annotations: Annotations) -> Tensor:
        return annotations.final
