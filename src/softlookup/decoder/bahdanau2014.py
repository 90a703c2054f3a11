"""RNNsearch's decoder with the readout of its appendix's formula."""

from torch import Tensor

from softlookup.decoder.bahdanau import Bahdanau


class Bahdanau2014(Bahdanau):
    """As `Bahdanau`, but t̃_t = U_o s_{t−1} + V_o E y_{t−1} + C_o c_t.  Bahdanau et al. 2014, appendix A.2.2.

    The readout sees the state that asked for c_t, and not yet the one that c_t went into.
    """

    def _shown(self, before: Tensor, after: Tensor) -> Tensor:  # noqa: ARG002
        return before
