"""Shared by the tests of searches: untrained models with well-separated logits, and sources of several lengths."""

import torch
from choices import SOURCES, build_seq2seq, encoder_for
from torch import Tensor

from softlookup.model.seq2seq import Seq2Seq
from softlookup.text.vocabulary import EOS, PAD

LENGTHS = torch.tensor([2, 7, 5, 3, 1])
B, S = 5, 7


def make(decoder: tuple, attention: str = "additive", stopping: float = 0.0) -> Seq2Seq:
    """Build an untrained model; `stopping` is added to the logit of EOS."""
    model = build_seq2seq(encoder_for(decoder), decoder, attention)
    assert model is not None
    with torch.no_grad():
        # Large weights: no two tokens have nearly equal logits, and hypotheses differ between rows.
        for parameter in model.parameters():
            parameter.mul_(3.0)
        model.output.bias[EOS] += stopping
    return model


def sources() -> tuple[Tensor, Tensor]:
    mask = torch.arange(S) < LENGTHS.unsqueeze(1)
    return torch.randint(4, SOURCES, (B, S)).masked_fill(~mask, PAD), mask
