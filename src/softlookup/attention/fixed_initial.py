"""Start the decoder from the encoder's final state, and read nothing afterwards."""

from torch import Tensor

from softlookup.attention.fixed import FixedContext
from softlookup.contract import Annotations, Widths


class FixedInitial(FixedContext):
    """Return a context of width zero: the decoder knows the source only from its initial state. Sutskever et al. 2014,
    section 2. A step of training takes time O(1) and memory O(D); decoding reads a state of O(0)."""

    def __init__(self, widths: Widths) -> None:  # noqa: ARG002 - the interface of all attentions
        super().__init__()
        self.width = 0

    def summarize(self, annotations: Annotations) -> Tensor:
        return annotations.final[:, :0]
