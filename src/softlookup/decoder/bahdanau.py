"""Decode as RNNsearch does: attend from s_{t−1}, use the context in the step, read out through maxout."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from softlookup.contract import Annotations, Attention, Decoded, Decoder, DecoderState, Memory, Widths, over_steps
from softlookup.layers.dropout import Drop
from softlookup.layers.fixed_weights import linear
from softlookup.layers.loop_product import LoopProduct
from softlookup.layers.precision import full
from softlookup.ranges import Dropout, Size
from softlookup.text.vocabulary import PAD


class Bahdanau(Decoder):
    """Decode with one gated recurrent layer that attends before its step.  Bahdanau et al. 2014, appendix A.2.2::

        c_t = lookup(s_{t−1}, annotations)
        z, r = σ(W_{z,r} E y_{t−1} + U_{z,r} s_{t−1} + C_{z,r} c_t)
        s̃_t  = tanh(W E y_{t−1} + U [r ∘ s_{t−1}] + C c_t)
        s_t  = (1 − z) ∘ s_{t−1} + z ∘ s̃_t
        t̃_t  = U_o s_t + V_o E y_{t−1} + C_o c_t
        readout_t = maxout over pairs of t̃_t                       (B, T, readout)

    s_0 = tanh(W_s h), h the encoder's final state. The readout uses s_t, as in the paper's eq. 4 and in Cho et al.
    2014; its appendix has s_{t−1} there (`decoder=bahdanau2014`), which makes a fixed context lose one step of state.
    The products with E y and those of the readout are computed outside the loop.
    """

    def __init__(
        self,
        vocabulary: int,
        annotation_width: int,
        final_width: int,
        attention: Callable[[Widths], Attention],
        embedding: Size,
        width: Size,
        readout: Size,
        dropout: Dropout,
    ) -> None:
        super().__init__()
        self.width = readout
        self.attention = attention(Widths(width, annotation_width, final_width))
        context = self.attention.width
        self.embedding = nn.Embedding(vocabulary, embedding, padding_idx=PAD)
        self.initial = nn.Linear(final_width, width)
        self.gates_from_input = nn.Linear(embedding, 3 * width)
        self.gates_from_state = nn.Linear(width, 2 * width, bias=False)
        self.candidate_from_state = nn.Linear(width, width, bias=False)
        self.readout = nn.Linear(width + embedding, 2 * readout)
        # One matrix for the gates and one for the readout, initialized last, so that the weights above are the same for
        # every width of the context. A context of width zero makes both products zero.
        self.gates_from_context = nn.Parameter(torch.empty(3 * width, context).uniform_(-1, 1) * width**-0.5)
        self.readout_from_context = nn.Parameter(torch.empty(2 * readout, context).uniform_(-1, 1) * width**-0.5)
        self.dropout = Drop(dropout)

    def prepare(self, annotations: Annotations) -> tuple[Memory, DecoderState]:
        initial = torch.tanh(full(self.initial(annotations.final)))
        return self.attention.prepare(annotations), DecoderState({"state": initial})

    def forward(self, inputs: Tensor, memory: Memory, state: DecoderState, weights: bool = True) -> Decoded:
        embedded = self.dropout(self.embedding(inputs))
        addends, next_state = self._recurrence(
            full(linear(embedded, self.gates_from_input.weight, self.gates_from_input.bias))
        )
        history, hidden = state.attention, state.decoder["state"]
        states, contexts, readings = [], [], []
        for addend in addends:
            reading = self.attention(hidden.unsqueeze(1), memory, history, weights)
            context, history = reading.context.squeeze(1), reading.history
            before, hidden = hidden, next_state(addend, context, hidden)
            states.append(self._readout_state(before, hidden))
            contexts.append(context)
            readings.append(reading)
        read = torch.cat([torch.stack(states, 1), embedded], -1)
        before_maxout = linear(read, self.readout.weight, self.readout.bias)
        before_maxout = before_maxout + linear(torch.stack(contexts, 1), self.readout_from_context)
        readout = before_maxout.unflatten(-1, (-1, 2)).amax(-1)
        joined, heads = over_steps(readings)
        return Decoded(self.dropout(readout), joined, DecoderState({"state": hidden}, history), heads)

    def _readout_state(self, before: Tensor, after: Tensor) -> Tensor:  # noqa: ARG002
        """Return the state that the readout uses, of those before and after a step."""
        return after

    def _recurrence(self, from_input: Tensor) -> tuple[Sequence[Tensor], Callable[[Tensor, Tensor, Tensor], Tensor]]:
        """Return an addend for each step, and the function from addend, context and state (B, D) to the next state.

        from_input (B, T, 3D) are the inputs to z, r and s̃ from E y.
        """
        width = from_input.size(-1) // 3
        of_context, of_state = LoopProduct(self.gates_from_context), LoopProduct(self.gates_from_state.weight)
        of_reset = LoopProduct(self.candidate_from_state.weight)

        def next_state(addend: Tensor, context: Tensor, state: Tensor) -> Tensor:
            for_gates, for_candidate = of_context(context, addend).split([2 * width, width], -1)
            update, reset = torch.sigmoid(of_state(state, for_gates)).chunk(2, -1)
            return torch.lerp(state, torch.tanh(of_reset(reset * state, for_candidate)), update)

        return of_reset.joined(of_state.joined(of_context.joined(from_input)), 2 * width).unbind(1), next_state

    def recurrent_blocks(self) -> Iterator[Tensor]:
        yield from (*self.gates_from_state.weight.chunk(2), self.candidate_from_state.weight)
