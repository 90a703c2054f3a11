"""Encode with gated units as defined in the papers, in one direction or two."""

from abc import abstractmethod
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from softlookup.contract import Encoder
from softlookup.encoder.order import backwards
from softlookup.layers.dropout import Drop
from softlookup.layers.loop_product import LoopProduct
from softlookup.layers.precision import full
from softlookup.ranges import Dropout, Size
from softlookup.text.vocabulary import PAD


class GatedEncoder(Encoder):
    """Encode with one layer of gated units, with the reset gate inside the product::

        z, r = σ(W_{z,r} E x_s + U_{z,r} h_{s−1})
        h̃_s  = tanh(W E x_s + U [r ∘ h_{s−1}])

    Cho et al. 2014, eqs. 5, 6 and 8. PyTorch's GRU computes r ∘ (U h_{s−1} + b) instead, a different function. The
    papers differ in the meaning of z = 1, which subclasses define in `mix`. h_0 = 0; the input products have biases,
    which the papers omit from their formulas.

    Directions share only the embedding. They run in one loop, as a batch of matrices; the products with the input are
    computed before it. After the end of a row its state is kept, so the last state is the one at its end.
    """

    def __init__(self, vocabulary: int, embedding: Size, width: Size, directions: int, dropout: Dropout) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, embedding, padding_idx=PAD)
        self.directions = directions
        self.from_input = nn.Linear(embedding, directions * 3 * width)
        bound = width**-0.5
        self.gates_from_state = nn.Parameter(torch.empty(directions, 2 * width, width).uniform_(-bound, bound))
        self.candidate_from_state = nn.Parameter(torch.empty(directions, width, width).uniform_(-bound, bound))
        self.dropout = Drop(dropout)

    @abstractmethod
    def mix(self, before: Tensor, candidate: Tensor, update: Tensor) -> Tensor:
        """Return the next state from the previous one, h̃ and z."""

    def read(self, source: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return states (B, S, directions · width), zero on padding, and the last state of each direction (directions,
        B, width)."""
        embedded = self.dropout(self.embedding(source))
        order = backwards(mask).unsqueeze(-1)
        inputs = full(self.from_input(embedded))
        by_direction = list(inputs.chunk(self.directions, -1))
        by_direction[1:] = [each.take_along_dim(order, 1) for each in by_direction[1:]]
        width = self.candidate_from_state.size(-1)
        of_state, of_reset = LoopProduct(self.gates_from_state), LoopProduct(self.candidate_from_state)
        state = inputs.new_zeros(self.directions, len(source), width)
        states = []
        joined = of_reset.joined(of_state.joined(torch.stack(by_direction)), 2 * width)
        for addend, real in zip(joined.unbind(2), mask.unsqueeze(-1).unbind(1), strict=True):
            for_gates, for_candidate = addend.split([2 * width, width], -1)
            update, reset = torch.sigmoid(of_state(state, for_gates)).chunk(2, -1)
            candidate = torch.tanh(of_reset(reset * state, for_candidate))
            state = torch.where(real, self.mix(state, candidate, update), state)
            states.append(state)
        placed = list(torch.stack(states, 2).unbind(0))
        placed[1:] = [read.take_along_dim(order, 1) for read in placed[1:]]
        return torch.cat(placed, -1) * mask.unsqueeze(-1), state

    def recurrent_blocks(self) -> Iterator[Tensor]:
        for gates, candidate in zip(self.gates_from_state, self.candidate_from_state, strict=True):
            yield from (*gates.chunk(2), candidate)
