"""Define the base class of stacked decoders: layers step first, then one lookup from the top."""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from softlookup.contract import (
    Annotations,
    Attention,
    Decoded,
    Decoder,
    DecoderState,
    History,
    Memory,
    Reading,
    Widths,
    of_layers,
    over_steps,
)
from softlookup.errors import UserError
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
        self.dropout = nn.Dropout(dropout)
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
        hidden, cell = self.start(annotations.final)
        state = {"hidden": hidden, "cell": cell}
        if self.input_feeding:
            state["fed"] = torch.zeros_like(hidden[:, 0])
        return self.attention.prepare(annotations), DecoderState(state)

    def forward(self, inputs: Tensor, memory: Memory, state: DecoderState, weights: bool = True) -> Decoded:
        bottom = cast(nn.LSTMCell, self.cells[0])
        embedded = self.dropout(self.embedding(inputs))
        from_input = F.linear(embedded, bottom.weight_ih[:, : embedded.size(-1)], bottom.bias_ih + bottom.bias_hh)
        now, history = state.decoder, state.attention
        if not self.input_feeding:
            tops = []
            for step in from_input.unbind(1):
                now = self._step(step, now)
                tops.append(now["hidden"][:, -1])
            reading, readout = self._read(torch.stack(tops, 1), memory, history, weights)
            after = DecoderState(now, reading.history)
            return Decoded(self.dropout(readout), reading.weights, after, of_layers([reading]))
        readouts: list[Tensor] = []
        readings: list[Reading] = []
        for step in from_input.unbind(1):
            now = self._step(step + F.linear(now["fed"], bottom.weight_ih[:, embedded.size(-1) :]), now)
            reading, readout = self._read(now["hidden"][:, -1:], memory, history, weights)
            history, now = reading.history, {**now, "fed": readout.squeeze(1)}
            readouts.append(readout)
            readings.append(reading)
        joined, heads = over_steps(readings)
        return Decoded(self.dropout(torch.cat(readouts, 1)), joined, DecoderState(now, history), heads)

    def _read(self, top: Tensor, memory: Memory, history: History, weights: bool) -> tuple[Reading, Tensor]:
        reading = self.attention(top, memory, history, weights)
        return reading, self.read_out(reading.context, top)

    def _step(self, from_below: Tensor, now: History) -> History:
        """Return the state of all layers after one step; `from_below` (B, 4D) holds the bottom layer's input products
        and biases."""
        hidden: list[Tensor] = []
        cell: list[Tensor] = []
        for i, layer in enumerate(cast(list[nn.LSTMCell], self.cells)):
            if i:
                biases = layer.bias_ih + layer.bias_hh
                from_below = F.linear(self.dropout(hidden[-1]), layer.weight_ih, biases)
            gates = from_below + F.linear(now["hidden"][:, i], layer.weight_hh)
            enter, forget, candidate, leave = gates.chunk(4, -1)
            cell.append(forget.sigmoid() * now["cell"][:, i] + enter.sigmoid() * candidate.tanh())
            hidden.append(leave.sigmoid() * cell[-1].tanh())
        return {**now, "hidden": torch.stack(hidden, 1), "cell": torch.stack(cell, 1)}

    def recurrent_blocks(self) -> Iterator[Tensor]:
        for layer in cast(list[nn.LSTMCell], self.cells):
            yield from layer.weight_hh.chunk(4)


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
