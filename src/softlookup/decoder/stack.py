"""Define the base class of stacked decoders: layers step first, then one lookup from the top."""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import cast

import torch
from torch import Tensor, nn

from softlookup.contract import (
    Annotations,
    Attention,
    Decoded,
    Decoder,
    DecoderState,
    History,
    Memory,
    Widths,
    of_layers,
    over_steps,
)
from softlookup.errors import UserError
from softlookup.layers.dropout import Drop
from softlookup.layers.fixed_weights import linear
from softlookup.layers.loop_product import LoopProduct
from softlookup.layers.precision import full
from softlookup.ranges import Dropout, Layers, Size
from softlookup.text.vocabulary import PAD


class StackedDecoder(Decoder):
    """s_t = LSTM([E y_{t−1} ; readout_{t−1}], s_{t−1}); c_t = lookup(s_t); readout_t of both.

    The previous readout enters only with input feeding. The products with E y are computed outside the loop; without
    input feeding, so is the lookup, for all steps at once. Subclasses define the initial state and the readout.
    """

    def __init__(
        self,
        vocabulary: int,
        annotation_width: int,
        final_width: int,
        attention: Callable[[Widths], Attention],
        embedding: Size,
        width: Size,
        layers: Layers,
        input_feeding: bool,
        dropout: Dropout,
    ) -> None:
        super().__init__()
        self.width = width
        self.input_feeding = input_feeding
        self.attention = attention(Widths(width, annotation_width, final_width))
        self.embedding = nn.Embedding(vocabulary, embedding, padding_idx=PAD)
        fed = embedding + (width if input_feeding else 0)
        self.cells = nn.ModuleList(nn.LSTMCell(fed if i == 0 else width, width) for i in range(layers))
        self.dropout = Drop(dropout)
        self.make_start(final_width)
        self.make_readout(self.attention.width)

    @abstractmethod
    def make_start(self, final_width: int) -> None:
        """Build the modules of `start`. Raises UserError if the encoder's final state does not fit."""

    @abstractmethod
    def start(self, final: Tensor) -> tuple[Tensor, Tensor]:
        """Return hidden and cell (B, layers, width) before the first step, from the encoder's final state (B, F)."""

    @abstractmethod
    def make_readout(self, context_width: int) -> None:
        """Build the modules of `read_out`."""

    @abstractmethod
    def read_out(self, context: Tensor, top: Tensor) -> Tensor:
        """context (B, T, D) and the top layer's hidden (B, T, width) → readout (B, T, width)."""

    def prepare(self, annotations: Annotations) -> tuple[Memory, DecoderState]:
        hidden, cell = map(full, self.start(annotations.final))
        state = {"hidden": hidden, "cell": cell}
        if self.input_feeding:
            state["fed"] = torch.zeros_like(hidden[:, 0])
        return self.attention.prepare(annotations), DecoderState(state)

    def forward(self, inputs: Tensor, memory: Memory, state: DecoderState, weights: bool = True) -> Decoded:
        embedded = self.dropout(self.embedding(inputs))
        now, history = state.decoder, state.attention
        if self.input_feeding:
            return self._fed(embedded, memory, now, history, weights)
        below, hidden, cell = embedded, [], []
        for i, layer in enumerate(cast(list[nn.LSTMCell], self.cells)):
            from_below = full(linear(self.dropout(below) if i else below, layer.weight_ih, _bias(layer)))
            below, last = _run(layer, from_below, (now["hidden"][:, i], now["cell"][:, i]))
            hidden.append(last[0])
            cell.append(last[1])
        reading = self.attention(below, memory, history, weights)
        after = DecoderState({"hidden": torch.stack(hidden, 1), "cell": torch.stack(cell, 1)}, reading.history)
        readout = self.dropout(self.read_out(reading.context, below))
        return Decoded(readout, reading.weights, after, of_layers([reading]))

    def _fed(self, embedded: Tensor, memory: Memory, now: History, history: History, weights: bool) -> Decoded:
        """Decode with input feeding: all layers, then the lookup, step by step."""
        bottom, *upper = cast(list[nn.LSTMCell], self.cells)
        width = embedded.size(-1)
        of_fed = LoopProduct(bottom.weight_ih[:, width:])
        from_input = full(linear(embedded, bottom.weight_ih[:, :width], _bias(bottom)))
        of_below = [of_fed, *(LoopProduct(layer.weight_ih) for layer in upper)]
        of_hidden = [LoopProduct(layer.weight_hh) for layer in (bottom, *upper)]
        addends = [from_input, *(_bias(layer).expand_as(from_input) for layer in upper)]
        steps = [
            joined.joined(below.joined(each)).unbind(1)
            for joined, below, each in zip(of_hidden, of_below, addends, strict=True)
        ]
        states = list(zip(now["hidden"].unbind(1), now["cell"].unbind(1), strict=True))
        fed, readouts, readings = now["fed"], [], []
        for addend in zip(*steps, strict=True):
            below = fed
            for i in range(len(states)):
                gates = of_hidden[i](states[i][0], of_below[i](self.dropout(below) if i else below, addend[i]))
                states[i] = _unit(gates, states[i][1])
                below = states[i][0]
            reading = self.attention(below.unsqueeze(1), memory, history, weights)
            fed, history = full(self.read_out(reading.context, below.unsqueeze(1))).squeeze(1), reading.history
            readouts.append(fed)
            readings.append(reading)
        hidden, cell = (torch.stack(list(each), 1) for each in zip(*states, strict=True))
        joined_weights, heads = over_steps(readings)
        after = DecoderState({"hidden": hidden, "cell": cell, "fed": fed}, history)
        return Decoded(self.dropout(torch.stack(readouts, 1)), joined_weights, after, heads)

    def recurrent_blocks(self) -> Iterator[Tensor]:
        for layer in cast(list[nn.LSTMCell], self.cells):
            yield from layer.weight_hh.chunk(4)


def _bias(layer: nn.LSTMCell) -> Tensor:
    return layer.bias_ih + layer.bias_hh


def _run(layer: nn.LSTMCell, from_below: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Return the hidden states (B, T, D) of one layer, and its last state; from_below (B, T, 4D) holds the products
    with its input, and biases."""
    of_hidden = LoopProduct(layer.weight_hh)
    states = []
    for addend in of_hidden.joined(from_below).unbind(1):
        state = _unit(of_hidden(state[0], addend), state[1])
        states.append(state[0])
    return torch.stack(states, 1), state


def _unit(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """Return hidden and cell (B, D) after a step, from the inputs (B, 4D) to its gates and the cell before it."""
    enter, forget, candidate, leave = gates.chunk(4, -1)
    cell = forget.sigmoid() * cell + enter.sigmoid() * candidate.tanh()
    return leave.sigmoid() * cell.tanh(), cell


def by_layer(states: Tensor, layers: Layers) -> tuple[Tensor, Tensor]:
    """Split the concatenated states of all layers into hidden and cell (B, layers, width)."""
    hidden, cell = states.unflatten(-1, (2, layers, -1)).unbind(1)
    return hidden, cell


class EncoderInitialized(StackedDecoder):
    """Start from hidden and cell of the encoder's layers, unchanged: for encoders whose final state holds exactly
    these.

    Raises UserError unless the final state has the width of these layers.
    """

    def make_start(self, final_width: int) -> None:
        layers, width = len(self.cells), self.width
        if final_width != 2 * layers * width:
            raise UserError(
                f"decoder={type(self).__name__.lower()} starts from hidden and cell of {layers} × {width} encoder "
                f"units, {2 * layers * width:,} numbers, but the encoder's final state has {final_width:,}; choose "
                f"encoder=stacked or stacked_reversed with encoder.layers={layers} encoder.width={width}, or "
                f"decoder=luong, which projects the final state of any encoder"
            )

    def start(self, final: Tensor) -> tuple[Tensor, Tensor]:
        return by_layer(final, len(self.cells))
