"""Combine encoder, attention and decoder into one model."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from softlookup.contract import Attention, Batch, Decoded, Decoder, DecoderState, Encoder, Kind, Memory
from softlookup.layers.fixed_weights import linear
from softlookup.text.vocabulary import BOS, PAD


class Seq2Seq(nn.Module):
    """p(y_t | y_<t, x) = softmax(W readout_t + b), with the readout of a decoder that reads an encoded source.

    `encoder` is called with the source vocabulary's size, `decoder` with the target vocabulary's, the width of the
    annotations and that of the final state, so that no width is configured twice.
    """

    def __init__(
        self,
        encoder: Callable[[int], Encoder],
        decoder: Callable[[int, int, int], Decoder],
        source_vocabulary: int,
        target_vocabulary: int,
    ) -> None:
        super().__init__()
        self.encoder = encoder(source_vocabulary)
        self.decoder = decoder(target_vocabulary, self.encoder.width, self.encoder.final_width)
        # The kind of the attention with which the decoder reads the source.
        self.kind: Kind = next(module.kind for module in self.decoder.modules() if isinstance(module, Attention))
        self.output = nn.Linear(self.decoder.width, target_vocabulary)

    def encode(self, source: Tensor, mask: Tensor, lengths: Tensor | None = None) -> tuple[Memory, DecoderState]:
        """source (B, S), mask (B, S), lengths (B,) on the processor, if known → the decoder's memory and initial
        state."""
        return self.decoder.prepare(self.encoder(source, mask, lengths))

    def step(
        self, inputs: Tensor, memory: Memory, state: DecoderState, weights: bool
    ) -> tuple[Tensor, Tensor | None, DecoderState]:
        """inputs (B, 1) → logits (B, V), weights (B, 1, S) or None, next state. PAD and BOS are never generated."""
        decoded = self._decode(inputs, memory, state, weights)
        logits = linear(decoded.readout[:, -1], self.output.weight, self.output.bias)
        logits[:, PAD] = logits[:, BOS] = -torch.inf
        return logits, decoded.weights, decoded.state

    def forward(self, batch: Batch) -> Tensor:
        """Return logits (N, V) of the N unpadded target positions in row-major order, without asking for weights.

        The output layer is the most expensive: it is computed once for all steps, and not on padding.
        """
        readout = self.teach(batch, weights=False).readout
        return self.output(readout.flatten(0, 1).index_select(0, batch.places))

    def teach(self, batch: Batch, weights: bool) -> Decoded:
        """Decode the targets of a batch under teacher forcing. Weights are over source positions, or absent."""
        return self._decode(batch.inputs, *self.encode(batch.source, batch.source_mask, batch.lengths), weights)

    def _decode(self, inputs: Tensor, memory: Memory, state: DecoderState, weights: bool) -> Decoded:
        """Decode, and drop weights that are over something else than source positions."""
        decoded = self.decoder(inputs, memory, state, weights)
        return decoded if self.kind == "lookup" else replace(decoded, weights=None, lookups=())
