"""Decode as RNNsearch does, with the readout of the paper's appendix."""

from torch import Tensor

from softlookup.decoder.bahdanau import Bahdanau


class Bahdanau2014(Bahdanau):
    """As `Bahdanau`, but t̃_t = U_o s_{t−1} + V_o E y_{t−1} + C_o c_t. Bahdanau et al. 2014, appendix A.2.2.

    The readout uses the state that was the query for c_t, and not the one computed from c_t.
    """

    def _readout_state(self, before: Tensor, after: Tensor) -> Tensor:  # noqa: ARG002
        return before
