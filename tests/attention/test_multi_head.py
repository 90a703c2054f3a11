"""Multi-head attention against a loop over heads, and the head counts that are rejected."""

import numpy as np
import pytest
import torch

from softlookup.attention.additive import Additive
from softlookup.attention.multi_head import MultiHead, attention
from softlookup.attention.scaled_dot import ScaledDot
from softlookup.attention.soft import SoftAttention
from softlookup.contract import Annotations, Widths
from softlookup.errors import UserError
from softlookup.normalizer.softmax import Softmax
from softlookup.window.unrestricted import Global

B, T, S, HEADS, EACH, K = 2, 3, 7, 5, 11, 13
WIDTHS = Widths(HEADS * EACH, K, 17)


def softmax(scores: np.ndarray) -> np.ndarray:
    return np.exp(scores) / np.exp(scores).sum()


@pytest.mark.parametrize("score", ["scaled_dot", "additive"])
def test_heads_are_independent_lookups_concatenated(score: str) -> None:
    make = ScaledDot if score == "scaled_dot" else lambda query, key: Additive(query, key, 3)
    heads = MultiHead(WIDTHS, make, Softmax(), Global, HEADS).double()
    p = {name: value.detach().numpy() for name, value in heads.named_parameters()}
    query = torch.randn(B, T, WIDTHS.query, dtype=torch.float64)
    states = torch.randn(B, S, K, dtype=torch.float64)
    lengths = (S, 4)
    mask = torch.arange(S) < torch.tensor(lengths).unsqueeze(1)
    reading = heads(query, heads.prepare(Annotations(states, mask, states[:, 0])), {})

    for b, t in np.ndindex(B, T):
        contexts, mean = [], np.zeros(S)
        for h in range(HEADS):
            rows = slice(h * EACH, (h + 1) * EACH)
            q = p["query.weight"][rows] @ query[b, t].numpy()
            real = states[b, : lengths[b]].numpy()
            keys = [p["keys.weight"][rows] @ state for state in real]
            values = [p["values.weight"][rows] @ state for state in real]
            if score == "scaled_dot":
                scores = np.array([q @ key / np.sqrt(EACH) for key in keys])
            else:
                w, u, v = (p[f"scores.{h}.{name}.weight"] for name in ("query", "keys", "score"))
                scores = np.array([v[0] @ np.tanh(w @ q + u @ key) for key in keys])
            weights = softmax(scores)
            contexts.append(sum(weight * value for weight, value in zip(weights, values, strict=True)))
            mean[: lengths[b]] += weights / HEADS
        context = p["output.weight"] @ np.concatenate(contexts)
        assert np.abs(reading.context[b, t].detach().numpy() - context).max() < 1e-10
        assert np.abs(reading.weights[b, t].detach().numpy() - mean).max() < 1e-10


@pytest.mark.parametrize("heads", [2, 0, -1, 110])
def test_heads_that_do_not_divide_the_width_are_rejected_with_valid_counts(heads: int) -> None:
    with pytest.raises(UserError, match=rf"attention\.heads={heads} .* width 55; these do: 1, 5, 11, 55"):
        attention(WIDTHS, ScaledDot, Softmax(), Global, heads)


def test_without_heads_the_score_is_used_as_it_is_and_one_head_adds_projections() -> None:
    assert isinstance(attention(Widths(K, K, 17), ScaledDot, Softmax(), Global, None), SoftAttention)
    assert isinstance(attention(WIDTHS, ScaledDot, Softmax(), Global, 1), MultiHead)
