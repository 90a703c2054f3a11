"""Decode as RNNencdec does (Cho et al. 2014, appendix A.1.2)."""

import torch
from torch import Tensor

from softlookup.decoder.bahdanau import Bahdanau


class Cho2014(Bahdanau):
    """Decode with one gated layer whose reset gate scales state and context.  Cho et al. 2014, appendix A.1.2::

        z, r = σ(W_{z,r} e(y_{t−1}) + U_{z,r} h_{t−1} + C_{z,r} c)
        h̃_t  = tanh(W e(y_{t−1}) + r ∘ [U h_{t−1} + C c])
        h_t  = z ∘ h_{t−1} + (1 − z) ∘ h̃_t
        s̃_t  = O_h h_t + O_y e(y_{t−1}) + O_c c
        readout_t = maxout over pairs of s̃_t                       (B, T, readout)

    h_0 = tanh(V h), h the encoder's final state, which is the paper's c with `encoder=cho2014`. The context of a step
    is c with `attention=fixed_final`, and c_t with any other attention, whose query is h_{t−1}.

    The paper writes O_y y_{t−1}; its matrices over words are products of two low-rank ones (section 4.1), the first of
    which is the embedding, hence O_y e(y_{t−1}). Its output matrix is such a product too; here it is one matrix.
    """

    def _step(self, from_input: Tensor, from_context: Tensor, state: Tensor) -> Tensor:
        width = state.size(-1)
        gates = from_input[:, : 2 * width] + from_context[:, : 2 * width] + self.gates_from_state(state)
        update, reset = torch.sigmoid(gates).chunk(2, -1)
        scaled = self.candidate_from_state(state) + from_context[:, 2 * width :]
        candidate = torch.tanh(from_input[:, 2 * width :] + reset * scaled)
        return torch.lerp(candidate, state, update)
