"""Define the base class of recurrent encoders: packed sequences and the final state."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from softlookup.contract import Annotations, Encoder
from softlookup.encoder.recurrent_loop import run
from softlookup.layers.dropout import Drop
from softlookup.layers.precision import full
from softlookup.ranges import Dropout, Layers, Size
from softlookup.system.transfer import to_device
from softlookup.text.vocabulary import PAD


class RecurrentEncoder(Encoder):
    """h_s = RNN(E x_s, h_{s−1}), in both directions if `bidirectional`: annotation [→h_s ; ←h_s], 2n wide.

    The final state is the last layer's last state of each direction, [→h_S ; ←h_1]. Dropout applies to embeddings,
    between layers and to annotations. Bahdanau et al. 2014, section 3.2.
    """

    def __init__(
        self,
        rnn: type[nn.GRU] | type[nn.LSTM],
        vocabulary: int,
        embedding: Size,
        width: Size,
        layers: Layers,
        bidirectional: bool,
        dropout: Dropout,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, embedding, padding_idx=PAD)
        between = dropout if layers > 1 else 0.0
        self.rnn = rnn(embedding, width, layers, batch_first=True, bidirectional=bidirectional, dropout=between)
        self.dropout = Drop(dropout)
        self.directions = 2 if bidirectional else 1
        self.width = self.final_width = width * self.directions

    def read(self, source: Tensor, mask: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the top layer's states (B, S, D), and the last states of all layers and directions: hidden, and cell
        of an LSTM."""
        # Sorted here, since torch's own sorting of packed rows waits twice for a GPU.
        known, order = (mask.sum(1).cpu() if lengths is None else lengths).sort(descending=True)
        rows, places = to_device(torch.stack([order, order.argsort()]), source.device)
        embedded = self.dropout(self.embedding(source))
        packed = pack_padded_sequence(embedded.index_select(0, rows), known, batch_first=True)
        outputs, last = run(self.rnn, packed, self.dropout)
        states, _ = pad_packed_sequence(outputs, batch_first=True, total_length=source.size(1))
        return full(states.index_select(0, places)), tuple(full(end.index_select(1, places)) for end in last)

    def forward(self, source: Tensor, mask: Tensor, lengths: Tensor | None = None) -> Annotations:
        states, last = self.read(source, mask, lengths)
        final = torch.cat(list(last[0][-self.directions :]), dim=-1)
        return Annotations(self.dropout(states), mask, self.dropout(final))

    def recurrent_blocks(self) -> Iterator[Tensor]:
        for name, weight in self.rnn.named_parameters():
            if name.startswith("weight_hh"):
                yield from weight.split(self.rnn.hidden_size)
