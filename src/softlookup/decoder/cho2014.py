"""Decode as RNNencdec does (Cho et al. 2014, appendix A.1.2)."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from softlookup.decoder.bahdanau import Bahdanau
from softlookup.layers.loop_product import LoopProduct


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

    def _recurrence(self, from_input: Tensor) -> tuple[Sequence[Tensor], Callable[[Tensor, Tensor, Tensor], Tensor]]:
        width = from_input.size(-1) // 3
        of_context, of_state = LoopProduct(self.gates_from_context), LoopProduct(self.gates_from_state.weight)
        of_candidate = LoopProduct(self.candidate_from_state.weight)

        def next_state(addend: Tensor, context: Tensor, state: Tensor) -> Tensor:
            own, others = addend.split([width, 3 * width], -1)
            for_gates, scaled = of_context(context, others).split([2 * width, width], -1)
            update, reset = torch.sigmoid(of_state(state, for_gates)).chunk(2, -1)
            return torch.lerp(torch.tanh(own + reset * of_candidate(state, scaled)), state, update)

        # W e(y) of the candidate is outside the brackets, which begin at zero: columns W e(y), z, r, [U h + C c].
        gates, own = from_input.split([2 * width, width], -1)
        addends = torch.cat([own, gates, torch.zeros_like(own)], -1)
        joined = of_state.joined(of_context.joined(addends, width), width)
        return of_candidate.joined(joined, 3 * width).unbind(1), next_state
