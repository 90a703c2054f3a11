"""Greedy search against decoding one sentence, recomputing the whole prefix at every step."""

import numpy as np
import pytest
import torch
from choices import TARGETS, variants
from searched import LENGTHS, make, sources
from torch import Tensor

from softlookup.model.seq2seq import Seq2Seq
from softlookup.search.greedy import Greedy
from softlookup.text.vocabulary import BOS, EOS, PAD

SEARCH = Greedy(3.0, 10)

EVERY = pytest.mark.parametrize("decoder", variants("decoder"), ids=str)


@torch.no_grad()
def written(model: Seq2Seq, source: Tensor) -> tuple[list[int], float]:
    """Decode the whole prefix again for every token; return the token ids and their log-probability."""
    prefix, total = [BOS], 0.0
    while len(prefix) <= 3 * len(source) + 10 and prefix[-1] != EOS:
        memory, state = model.encode(source.unsqueeze(0), torch.ones(1, len(source), dtype=torch.bool))
        logits = model.output(model.decoder(torch.tensor([prefix]), memory, state).readout[0, -1])
        allowed = [id for id in range(TARGETS) if id not in (PAD, BOS)]
        prefix.append(max(allowed, key=lambda id: logits[id].item()))
        values = logits[allowed].double().numpy()
        total += logits[prefix[-1]].item() - values.max() - np.log(np.exp(values - values.max()).sum())
    return prefix[1:], total


@EVERY
@pytest.mark.parametrize("stopping", [0.0, 2.0, -1e9])
def test_greedy_equals_decoding_each_sentence_alone(decoder: tuple, stopping: float) -> None:
    model, (source, mask) = make(decoder, stopping=stopping), sources()
    for b, (found,) in enumerate(SEARCH(model, source, mask)):
        length = int(LENGTHS[b])
        ids, total = written(model, source[b, :length])
        assert found.ids == ids
        assert found.weights is not None
        assert found.weights.shape == (len(ids), length)
        assert found.score == found.log_probability == pytest.approx(total, abs=1e-3)
