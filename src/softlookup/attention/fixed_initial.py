"""Start the decoder from the encoder's final state, and read nothing after that."""

from torch import Tensor

from softlookup.attention.fixed import FixedContext
from softlookup.contract import Annotations, Widths


class FixedInitial(FixedContext):
    """A context of width zero: all that the decoder knows is its first state.  Sutskever et al. 2014, section 2."""

    def __init__(self, widths: Widths) -> None:  # noqa: ARG002 - every attention is built for its widths
        super().__init__()
        self.width = 0

    def summarize(self, annotations: Annotations) -> Tensor:
        return annotations.final[:, :0]
