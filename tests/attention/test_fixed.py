"""Fixed contexts against sums and maxima computed by hand."""

import numpy as np
import torch

from softlookup.attention.fixed import FixedContext
from softlookup.attention.fixed_final import FixedFinal
from softlookup.attention.fixed_initial import FixedInitial
from softlookup.attention.fixed_learned import FixedLearned
from softlookup.attention.fixed_max import FixedMax
from softlookup.attention.fixed_mean import FixedMean
from softlookup.contract import Annotations, Widths
from softlookup.normalizer.softmax import Softmax

T, S, D, F = 3, 5, 7, 11
LENGTHS = (5, 2)
WIDTHS = Widths(13, D, F)


def source() -> Annotations:
    mask = torch.arange(S) < torch.tensor(LENGTHS).unsqueeze(1)
    # All negative, so that a maximum over zero padding would be noticed.
    states = -torch.rand(len(LENGTHS), S, D, dtype=torch.float64) - 1
    return Annotations(states, mask, torch.randn(len(LENGTHS), F, dtype=torch.float64))


def contexts(attention: FixedContext, annotations: Annotations) -> np.ndarray:
    reading = attention(torch.randn(len(LENGTHS), T, 13), attention.prepare(annotations), {})
    assert reading.weights is None
    assert torch.equal(reading.context, reading.context[:, :1].expand(-1, T, -1))
    assert reading.context.size(-1) == attention.width
    return reading.context[:, 0].detach().numpy()


def real(annotations: Annotations) -> list[np.ndarray]:
    return [states[:length].numpy() for states, length in zip(annotations.states, LENGTHS, strict=True)]


def test_final_and_initial_contexts() -> None:
    annotations = source()
    assert np.array_equal(contexts(FixedFinal(WIDTHS), annotations), annotations.final.numpy())
    assert contexts(FixedInitial(WIDTHS), annotations).shape == (len(LENGTHS), 0)


def test_mean_and_max_contexts() -> None:
    annotations = source()
    mean = [[sum(column) / len(column) for column in states.T] for states in real(annotations)]
    largest = [[max(column) for column in states.T] for states in real(annotations)]
    assert np.allclose(contexts(FixedMean(WIDTHS), annotations), mean, rtol=0, atol=1e-12)
    assert np.array_equal(contexts(FixedMax(WIDTHS), annotations), largest)


def test_learned_pooling_follows_lin_et_al() -> None:
    annotations = source()
    attention = FixedLearned(WIDTHS, Softmax(), width=3).double()
    hidden, _, last = attention.score
    u, v = hidden.weight.detach().numpy(), last.weight.detach().numpy()[0]
    expected = []
    for states in real(annotations):
        scores = np.array([v @ np.tanh(u @ state) for state in states])
        weights = np.exp(scores) / np.exp(scores).sum()
        expected.append(sum(weight * state for weight, state in zip(weights, states, strict=True)))
    assert np.allclose(contexts(attention, annotations), expected, rtol=0, atol=1e-12)
