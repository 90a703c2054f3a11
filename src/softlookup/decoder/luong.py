"""Luong's wiring: step first, attend from s_t, read out through the attentional state."""

from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from softlookup.contract import Annotations, Attention, Decoded, Decoder, History, Memory, Reading, Widths
from softlookup.vocabulary import PAD


class Luong(Decoder):
    """Stacked LSTM layers that look after they stepped.  Luong et al. 2015, sections 3 and 3.3::

        s_t = LSTM([E y_{t−1} ; h̃_{t−1}], s_{t−1})        h̃ enters with input feeding alone
        c_t = lookup(s_t, annotations)
        readout_t = h̃_t = tanh(W_c [c_t ; s_t])           (eq. 5)

    Every layer starts at h = tanh(W h_final), cell = W' h_final. The products with E y are taken out of the loop;
    without input feeding so is the lookup, done for all steps at once.
    """

    def __init__(
        self,
        vocabulary: int,
        annotation_width: int,
        final_width: int,
        attention: Callable[[Widths], Attention],
        embedding: int,
        width: int,
        layers: int,
        input_feeding: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.width = width
        self.input_feeding = input_feeding
        self.attention = attention(Widths(width, annotation_width, final_width))
        self.embedding = nn.Embedding(vocabulary, embedding, padding_idx=PAD)
        fed = embedding + (width if input_feeding else 0)
        self.cells = nn.ModuleList(nn.LSTMCell(fed if i == 0 else width, width) for i in range(layers))
        self.initial = nn.Linear(final_width, 2 * layers * width)
        self.readout = nn.Linear(self.attention.width + width, width, bias=False)
        self.dropout = nn.Dropout(dropout)

    def prepare(self, annotations: Annotations) -> tuple[Memory, History]:
        start = self.initial(annotations.final).unflatten(-1, (2, len(self.cells), -1))
        state = {"hidden": torch.tanh(start[:, 0]), "cell": start[:, 1]}
        if self.input_feeding:
            state["fed"] = torch.zeros_like(state["hidden"][:, 0])
        return self.attention.prepare(annotations), state

    def forward(self, inputs: Tensor, memory: Memory, state: History) -> Decoded:
        bottom = cast(nn.LSTMCell, self.cells[0])
        embedded = self.dropout(self.embedding(inputs))
        from_input = F.linear(embedded, bottom.weight_ih[:, : embedded.size(-1)], bottom.bias_ih + bottom.bias_hh)
        own = ("hidden", "cell", "fed")
        history = {name: value for name, value in state.items() if name not in own}
        now = {name: value for name, value in state.items() if name in own}
        if not self.input_feeding:
            tops = []
            for step in from_input.unbind(1):
                now = self._step(step, now)
                tops.append(now["hidden"][:, -1])
            reading, readout = self._read(torch.stack(tops, 1), memory, history)
            return Decoded(self.dropout(readout), reading.weights, {**reading.history, **now})
        readouts: list[Tensor] = []
        weights: list[Tensor | None] = []
        for step in from_input.unbind(1):
            now = self._step(step + F.linear(now["fed"], bottom.weight_ih[:, embedded.size(-1) :]), now)
            reading, readout = self._read(now["hidden"][:, -1:], memory, history)
            history, now["fed"] = reading.history, readout.squeeze(1)
            readouts.append(readout)
            weights.append(reading.weights)
        joined = None if weights[0] is None else torch.cat(cast(list[Tensor], weights), 1)
        return Decoded(self.dropout(torch.cat(readouts, 1)), joined, {**history, **now})

    def _read(self, top: Tensor, memory: Memory, history: History) -> tuple[Reading, Tensor]:
        reading = self.attention(top, memory, history)
        return reading, torch.tanh(self.readout(torch.cat([reading.context, top], -1)))

    def _step(self, from_below: Tensor, now: History) -> History:
        """All layers one step on; `from_below` (B, 4D) holds the bottom layer's input products and biases."""
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
