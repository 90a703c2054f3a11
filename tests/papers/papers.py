"""Shared by the transcriptions of papers: a model in float64, its parameters by name, and its first two steps.

The transcriptions follow the papers' formulas in plain NumPy, one sentence and one vector at a time; they share no code
with the implementation. The papers omit biases from their formulas; here every affine map has one.
"""

from typing import Any

import numpy as np
import torch
from choices import WINDOW, node
from numpy.typing import NDArray

from softlookup.config.build import build
from softlookup.model.seq2seq import Seq2Seq
from softlookup.text.vocabulary import BOS

Array = NDArray[np.float64]
Numbers = dict[str, Array]

# Distinct primes.
SOURCES, TARGETS = 17, 19
SOURCE = (5, 11, 7, 13, 3)
PREVIOUS = (BOS, 8)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def softmax(scores: Array) -> Array:
    return np.exp(scores) / np.exp(scores).sum()


def model(encoder: dict[str, Any], decoder: dict[str, Any], attention: dict[str, Any]) -> Seq2Seq:
    """Build the model of three config parts, with biases drawn far from zero."""
    read = build(attention)
    seq2seq = Seq2Seq(build(encoder), lambda *widths: build(decoder)(*widths, read), SOURCES, TARGETS).double().eval()
    with torch.no_grad():
        for parameter in seq2seq.parameters():
            if parameter.dim() == 1:
                parameter.normal_()
    return seq2seq


def attending(choice: str, window: str = "global", **changed: Any) -> dict[str, Any]:
    """Return the config part of an attention, with a window narrower than the source."""
    seen_through = node("window", window, **WINDOW)
    return node("attention", choice, normalizer=node("normalizer", "softmax"), window=seen_through, **changed)


def numbers(seq2seq: Seq2Seq) -> Numbers:
    return {name: value.detach().numpy() for name, value in seq2seq.named_parameters()}


@torch.no_grad()
def two_steps(seq2seq: Seq2Seq) -> tuple[list[Array], list[Array] | None]:
    """Return logits, and weights or None, of the first and the second step.

    The source is batched with a longer one, so that it has padding that must be ignored.
    """
    source = torch.tensor([[*SOURCE, 0, 0], [4, 6, 8, 10, 12, 14, 16]])
    memory, state = seq2seq.encode(source, source != 0)
    logits, weights = [], []
    for token in PREVIOUS:
        decoded = seq2seq.decoder(torch.tensor([[token], [9]]), memory, state)
        state = decoded.state
        logits.append(seq2seq.output(decoded.readout)[0, 0].numpy())
        if decoded.weights is not None:
            assert not decoded.weights[0, 0, len(SOURCE) :].any()
            weights.append(decoded.weights[0, 0, : len(SOURCE)].numpy())
    return logits, weights or None


def assert_equal(found: list[Array], expected: list[Array]) -> None:
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == theirs.shape
        assert np.abs(ours - theirs).max() <= 1e-10


def maxout(pairs: Array) -> Array:
    """[max {t̃_{2j−1}, t̃_{2j}}]_j"""
    return np.array([max(pairs[2 * j], pairs[2 * j + 1]) for j in range(len(pairs) // 2)])


def lstm(p: Numbers, name: str, x: Array, h: Array, c: Array) -> tuple[Array, Array]:
    """Compute one step of one LSTM layer: Zaremba et al. 2014, section 3.1; PyTorch stacks the maps as i, f, g, o."""
    w, u, b_w, b_u = (p[name.format(each)] for each in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    i, f, g, o = np.split(w @ x + b_w + u @ h + b_u, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c
