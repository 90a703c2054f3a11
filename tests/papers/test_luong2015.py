"""The attentional models of Luong et al. 2015: scores, windows and input feeding."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from choices import WINDOW, node
from papers import PREVIOUS, SOURCE, Array, Numbers, assert_equal, attending, lstm, model, numbers, softmax, two_steps

N, M, LAYERS, ALIGN, LONGEST = 7, 11, 2, 23, 29
D = WINDOW["radius"]
SCORE = "decoder.attention.score"
S = len(SOURCE)

Align = Callable[[Numbers, Array, list[Array]], Array]


def dot(p: Numbers, h: Array, states: list[Array]) -> Array:  # noqa: ARG001
    return np.array([h @ state for state in states])


def general(p: Numbers, h: Array, states: list[Array]) -> Array:
    return np.array([h @ p[f"{SCORE}.bilinear.weight"] @ state for state in states])


def concat(p: Numbers, h: Array, states: list[Array]) -> Array:
    w_a, v_a = p[f"{SCORE}.joint.weight"], p[f"{SCORE}.score.weight"][0]
    return np.array([v_a @ np.tanh(w_a @ np.concatenate([h, state])) for state in states])


def location(p: Numbers, h: Array, states: list[Array]) -> Array:
    return (p[f"{SCORE}.places.weight"] @ h)[: len(states)]  # eq. 8; footnote 6


SCORES: dict[str, Align] = {"dot": dot, "general": general, "concat": concat, "location": location}


def everywhere(p: Numbers, t: int, h: Array, scores: Array) -> Array:  # noqa: ARG001
    return softmax(scores)  # eq. 7


def local_m(p: Numbers, t: int, h: Array, scores: Array) -> Array:  # noqa: ARG001
    weights = np.zeros(S)
    inside = [s for s in range(1, S + 1) if t - D <= s <= t + D]  # p_t = t, both from 1
    weights[[s - 1 for s in inside]] = softmax(np.array([scores[s - 1] for s in inside]))
    return weights


def local_p(p: Numbers, t: int, h: Array, scores: Array) -> Array:  # noqa: ARG001
    w_p, v_p = (p[f"decoder.attention.window.{name}.weight"] for name in ("hidden", "place"))
    center = S / (1 + np.exp(-v_p[0] @ np.tanh(w_p @ h)))  # eq. 9
    weights = np.zeros(S)
    inside = [s for s in range(1, S + 1) if center - D <= s <= center + D]
    align = softmax(np.array([scores[s - 1] for s in inside]))
    for s, share in zip(inside, align, strict=True):
        weights[s - 1] = share * np.exp(-((s - center) ** 2) / (2 * (D / 2) ** 2))  # eq. 10, σ = D/2
    assert 0 < len(inside) < S
    return weights


WINDOWS = {"global": everywhere, "local_m": local_m, "local_p": local_p}


def luong(p: Numbers, score: str, window: str, feeding: bool) -> tuple[list[Array], list[Array]]:
    h, c, states = [np.zeros(N)] * LAYERS, [np.zeros(N)] * LAYERS, []
    for word in reversed(SOURCE):  # section 4.2
        x = p["encoder.embedding.weight"][word]
        for i in range(LAYERS):
            h[i], c[i] = lstm(p, f"encoder.rnn.{{}}_l{i}", x, h[i], c[i])
            x = h[i]
        states.append(x)
    states = states[::-1]
    fed, logits, all_weights = np.zeros(N), [], []
    for t, token in enumerate(PREVIOUS, start=1):
        x = p["decoder.embedding.weight"][token]
        x = np.concatenate([x, fed]) if feeding else x  # section 3.3
        for i in range(LAYERS):
            h[i], c[i] = lstm(p, f"decoder.cells.{i}.{{}}", x, h[i], c[i])
            x = h[i]
        weights = WINDOWS[window](p, t, x, SCORES[score](p, x, states))
        context = sum(weights[s] * states[s] for s in range(S))
        fed = np.tanh(p["decoder.readout.weight"] @ np.concatenate([context, x]))  # eq. 5
        logits.append(p["output.weight"] @ fed + p["output.bias"])  # eq. 6
        all_weights.append(weights)
    return logits, all_weights


@pytest.mark.parametrize("feeding", [True, False])
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("score", SCORES)
def test_two_steps_follow_section_3(score: str, window: str, feeding: bool) -> None:
    changed: dict[str, Any] = {"width": ALIGN, "longest": LONGEST}
    seq2seq = model(
        node("encoder", "stacked_reversed", width=N, embedding=M, layers=LAYERS),
        node("decoder", "luong2015", width=N, embedding=M, layers=LAYERS, input_feeding=feeding),
        attending(score, window, **changed),
    )
    logits, weights = two_steps(seq2seq)
    expected_logits, expected_weights = luong(numbers(seq2seq), score, window, feeding)
    assert_equal(logits, expected_logits)
    assert weights is not None
    assert_equal(weights, expected_weights)
