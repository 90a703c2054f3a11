"""Each score against its paper's equation, reimplemented in NumPy for one query and one key at a time."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from softlookup.attention.additive import Additive
from softlookup.attention.concat import Concat
from softlookup.attention.cosine import Cosine
from softlookup.attention.dot import Dot
from softlookup.attention.general import General
from softlookup.attention.scaled_dot import ScaledDot
from softlookup.attention.soft import SoftAttention
from softlookup.contract import Annotations, Score, Widths
from softlookup.errors import UserError
from softlookup.normalizer.softmax import Softmax
from softlookup.window.unrestricted import Global

B, T, S, Q, K, HIDDEN = 2, 3, 5, 7, 11, 13

Array = NDArray[np.float64]
Equation = Callable[[dict[str, Array], Array, Array], float]


def additive(p: dict[str, Array], q: Array, k: Array) -> float:
    return p["score.weight"][0] @ np.tanh(p["query.weight"] @ q + p["keys.weight"] @ k)


def concat(p: dict[str, Array], q: Array, k: Array) -> float:
    return p["score.weight"][0] @ np.tanh(p["joint.weight"] @ np.concatenate([q, k]))


def general(p: dict[str, Array], q: Array, k: Array) -> float:
    return q @ p["bilinear.weight"] @ k


def dot(p: dict[str, Array], q: Array, k: Array) -> float:  # noqa: ARG001
    return sum(a * b for a, b in zip(q, k, strict=True))


def scaled_dot(p: dict[str, Array], q: Array, k: Array) -> float:
    return dot(p, q, k) / math.sqrt(len(q))


def cosine(p: dict[str, Array], q: Array, k: Array) -> float:
    return math.exp(p["log_strength"]) * dot(p, q, k) / math.sqrt(dot(p, q, q) * dot(p, k, k))


CASES = [
    (lambda: Additive(Q, K, HIDDEN), additive),
    (lambda: Concat(Q, K, HIDDEN), concat),
    (lambda: General(Q, K), general),
    (lambda: Dot(K, K), dot),
    (lambda: ScaledDot(K, K), scaled_dot),
    (lambda: Cosine(K, K), cosine),
]


@pytest.mark.parametrize(("make", "equation"), CASES, ids=[equation.__name__ for _, equation in CASES])
def test_scores_weights_and_context_follow_the_paper(make: Callable[[], Score], equation: Equation) -> None:
    score = make().double()
    query = torch.randn(B, T, score.query_width, dtype=torch.float64)
    states = torch.randn(B, S, score.key_width, dtype=torch.float64)
    p = {name: value.detach().numpy() for name, value in score.named_parameters()}
    scores = np.array(
        [
            [[equation(p, q, k) for k in keys] for q in qs]
            for qs, keys in zip(query.numpy(), states.numpy(), strict=True)
        ]
    )
    assert np.abs(score(query, score.prepare(states), {})[0].detach().numpy() - scores).max() < 1e-10

    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    context = np.zeros((B, T, score.key_width))
    for b, t, s in np.ndindex(B, T, S):
        context[b, t] += weights[b, t, s] * states[b, s].numpy()
    attention = SoftAttention(Widths(score.query_width, score.key_width, 1), lambda *_: score, Softmax(), Global)
    mask = torch.ones(B, S, dtype=torch.bool)
    reading = attention(query, attention.prepare(Annotations(states, mask, states[:, 0])), {})
    assert np.abs(reading.weights.detach().numpy() - weights).max() < 1e-10
    assert np.abs(reading.context.detach().numpy() - context).max() < 1e-10


def of(score: Score, query: Tensor, states: Tensor) -> Tensor:
    return score(query, score.prepare(states), {})[0]


def test_concat_equals_additive_with_the_same_matrix() -> None:
    joint, apart = Concat(Q, K, HIDDEN), Additive(Q, K, HIDDEN)
    with torch.no_grad():
        joint.joint.weight.copy_(torch.cat([apart.query.weight, apart.keys.weight], 1))
        joint.score.weight.copy_(apart.score.weight)
    query, states = torch.randn(B, T, Q), torch.randn(B, S, K)
    assert torch.allclose(of(joint, query, states), of(apart, query, states), atol=1e-6)


def test_cosine_starts_with_strength_root_of_width_and_ignores_vector_lengths() -> None:
    score, query, keys = Cosine(K, K), torch.randn(B, T, K), torch.randn(B, S, K)
    assert of(score, keys, keys).diagonal(dim1=-2, dim2=-1).sub(math.sqrt(K)).abs().max() < 1e-5
    assert torch.allclose(of(score, query, keys), of(score, 7 * query, 3 * keys), atol=1e-5)


@pytest.mark.parametrize("score", [Dot, ScaledDot, Cosine])
@pytest.mark.parametrize("widths", [(Q, K), (0, 0)])
def test_unequal_widths_are_rejected_with_a_remedy(score: type[Score], widths: tuple[int, int]) -> None:
    with pytest.raises(UserError, match=rf"got {widths[0]} and {widths[1]}; set decoder\.width .* attention=general"):
        score(*widths)
