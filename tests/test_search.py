"""Greedy search against a search of one sentence, one whole prefix at a time."""

import pytest
import torch
from choices import OFFERED, SOURCES, TARGETS, build_seq2seq, encoder_for, variants
from torch import Tensor

from softlookup.search import greedy
from softlookup.seq2seq import Seq2Seq
from softlookup.vocabulary import BOS, EOS, PAD

LENGTHS = torch.tensor([2, 7, 5, 3, 1])
B, S = 5, 7

EVERY = pytest.mark.parametrize("decoder", variants("decoder"), ids=str)


def make(decoder: tuple, attention: str = "additive", stopping: float = 0.0) -> Seq2Seq:
    """An untrained model; `stopping` is added to the logit of EOS."""
    model = build_seq2seq(encoder_for(decoder), decoder, attention)
    assert model is not None
    with torch.no_grad():
        # Far apart, so that no two tokens are nearly equal, and hypotheses that differ from row to row.
        for parameter in model.parameters():
            parameter.mul_(3.0)
        model.output.bias[EOS] += stopping
    return model


def sources() -> tuple[Tensor, Tensor]:
    mask = torch.arange(S) < LENGTHS.unsqueeze(1)
    return torch.randint(4, SOURCES, (B, S)).masked_fill(~mask, PAD), mask


@torch.no_grad()
def written(model: Seq2Seq, source: Tensor) -> list[int]:
    """The whole prefix is decoded anew for every token."""
    prefix = [BOS]
    while len(prefix) <= 3 * len(source) + 10 and prefix[-1] != EOS:
        memory, state = model.encode(source.unsqueeze(0), torch.ones(1, len(source), dtype=torch.bool))
        logits = model.output(model.decoder(torch.tensor([prefix]), memory, state).readout[0, -1])
        prefix.append(max((id for id in range(TARGETS) if id != PAD), key=lambda id: logits[id].item()))
    return prefix[1:]


@EVERY
@pytest.mark.parametrize("stopping", [0.0, 2.0, -1e9])
def test_greedy_is_a_search_of_each_sentence_alone(decoder: tuple, stopping: float) -> None:
    model, (source, mask) = make(decoder, stopping=stopping), sources()
    tokens, weights = greedy(model, source, mask)
    assert weights is not None
    assert weights.shape == (B, tokens.size(1), S)
    for b, length in enumerate(LENGTHS.tolist()):
        expected = written(model, source[b, :length])
        assert tokens[b].tolist() == expected + [PAD] * (tokens.size(1) - len(expected))


def test_padding_is_never_written_and_all_that_follows_the_end() -> None:
    model, (source, mask) = make(("bahdanau", {}), stopping=3.0), sources()
    with torch.no_grad():
        model.output.bias[PAD] = 1e9
    for row, length in zip(greedy(model, source, mask)[0].tolist(), LENGTHS.tolist(), strict=True):
        end = row.index(EOS) + 1 if EOS in row else 3 * length + 10
        assert PAD not in row[:end]
        assert not any(row[end:])


@pytest.mark.parametrize("attention", OFFERED["attention"])
def test_company_changes_no_hypothesis(attention: str) -> None:
    model, (source, mask) = make(("luong", {}), attention, stopping=1.0), sources()
    together, weights = greedy(model, source, mask)
    for b, length in enumerate(LENGTHS.tolist()):
        alone, own = greedy(model, source[b : b + 1, :length], mask[b : b + 1, :length])
        steps = alone.size(1)
        assert torch.equal(together[b, :steps], alone[0])
        assert not together[b, steps:].any()
        if weights is not None:
            assert torch.allclose(weights[b, :steps, :length], own[0], rtol=0, atol=1e-4)


def test_weights_are_absent_where_there_are_none() -> None:
    model, (source, mask) = make(("bahdanau", {}), "fixed_mean"), sources()
    assert greedy(model, source, mask)[1] is None
