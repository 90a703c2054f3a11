"""The transformer decoder against a NumPy recomputation of every prefix, one head and one step at a time."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from softlookup.attention.additive import Additive
from softlookup.attention.fixed_initial import FixedInitial
from softlookup.attention.scaled_dot import ScaledDot
from softlookup.attention.soft import SoftAttention
from softlookup.contract import Annotations
from softlookup.decoder.transformer import Transformer
from softlookup.errors import UserError
from softlookup.mixer.self_attention import SelfAttention
from softlookup.normalizer.softmax import Softmax
from softlookup.window.unrestricted import Global

S, T, V, ANNOTATION, FINAL, D, HEADS, FEED, LAYERS = 3, 5, 17, 7, 11, 26, 2, 19, 2

Array = NDArray[np.float64]
READ = partial(SoftAttention, score=partial(Additive, width=23), normalizer=Softmax(), window=Global)
MIXER = partial(SelfAttention, score=ScaledDot, normalizer=Softmax(), heads=HEADS)


def normalized(p: dict[str, Array], name: str, x: Array) -> Array:
    return (x - x.mean()) / math.sqrt(x.var() + 1e-5) * p[f"{name}.weight"] + p[f"{name}.bias"]


def linear(p: dict[str, Array], name: str, x: Array) -> Array:
    return p[f"{name}.weight"] @ x + p.get(f"{name}.bias", 0.0)


def weigh(scores: list[float]) -> Array:
    return np.exp(scores) / np.exp(scores).sum()


class Around:
    """Apply residual connection and layer normalization around sublayer `place` of a layer, pre-norm or post-norm."""

    def __init__(self, p: dict[str, Array], layer: str, place: int, before: bool) -> None:
        self.p, self.name, self.before = p, f"{layer}.around.norms.{place}", before

    def enter(self, x: Array) -> Array:
        return normalized(self.p, self.name, x) if self.before else x

    def leave(self, x: Array, output: Array) -> Array:
        return x + output if self.before else normalized(self.p, self.name, x + output)


def self_attend(p: dict[str, Array], layer: str, prefix: list[Array], before: bool) -> Array:
    """Return the self-attention of the last step of `prefix` over all of it."""
    around = Around(p, layer, 0, before)
    projected = [linear(p, f"{layer}.self_attention.projections", around.enter(x)) for x in prefix]
    mixed = []
    for h in range(HEADS):
        query, key, value = (slice(i * D + h * D // HEADS, i * D + (h + 1) * D // HEADS) for i in range(3))
        weights = weigh([projected[-1][query] @ other[key] / math.sqrt(D / HEADS) for other in projected])
        mixed.append(sum(weight * other[value] for weight, other in zip(weights, projected, strict=True)))
    return around.leave(prefix[-1], linear(p, f"{layer}.self_attention.merge", np.concatenate(mixed)))


def attend(p: dict[str, Array], layer: str, x: Array, states: Array, before: bool) -> tuple[Array, Array]:
    around = Around(p, layer, 1, before)
    score = f"{layer}.attention.score"
    query = linear(p, f"{score}.query", around.enter(x))
    weights = weigh([linear(p, f"{score}.score", np.tanh(query + linear(p, f"{score}.keys", s)))[0] for s in states])
    context = sum(weight * state for weight, state in zip(weights, states, strict=True))
    return around.leave(x, linear(p, f"{layer}.context", context)), weights


def feed_forward(p: dict[str, Array], layer: str, x: Array, before: bool) -> Array:
    around = Around(p, layer, 2, before)
    hidden = np.maximum(0, linear(p, f"{layer}.feed_forward.0", around.enter(x)))
    return around.leave(x, linear(p, f"{layer}.feed_forward.2", hidden))


def place(t: int) -> Array:
    angles = [t / 10000 ** (2 * (d // 2) / D) for d in range(D)]
    return np.array([math.cos(a) if d % 2 else math.sin(a) for d, a in enumerate(angles)])


@pytest.mark.parametrize("norm", ["before", "after"])
def test_every_step_equals_a_recomputation_of_its_prefix(norm: str) -> None:
    before = norm == "before"
    decoder = Transformer(V, ANNOTATION, FINAL, READ, MIXER, D, FEED, LAYERS, norm, 0.0).double().eval()
    p = {name: value.detach().numpy() for name, value in decoder.named_parameters()}
    states = torch.randn(1, S, ANNOTATION, dtype=torch.float64)
    inputs = torch.randint(4, V, (1, T))
    source = Annotations(states, torch.ones(1, S, dtype=torch.bool), torch.zeros(1, FINAL, dtype=torch.float64))
    decoded = decoder(inputs, *decoder.prepare(source))
    stream = [math.sqrt(D) * p["embedding.weight"][token] + place(t) for t, token in enumerate(inputs[0].tolist())]
    weights: list[Array] = []
    for i in range(LAYERS):
        layer, following, weights = f"layers.{i}", [], []
        for t in range(T):
            x, row = attend(p, layer, self_attend(p, layer, stream[: t + 1], before), states[0].numpy(), before)
            following.append(feed_forward(p, layer, x, before))
            weights.append(row)
        stream = following
    expected = np.array([normalized(p, "norm", x) if before else x for x in stream])
    assert np.abs(decoded.readout[0].detach().numpy() - expected).max() < 1e-10
    assert np.abs(decoded.weights[0].detach().numpy() - np.array(weights)).max() < 1e-10


def test_a_context_of_width_zero_is_rejected() -> None:
    with pytest.raises(UserError, match="attention=fixed_initial would leave it without the source"):
        Transformer(V, ANNOTATION, FINAL, FixedInitial, MIXER, D, FEED, LAYERS, "after", 0.0)


def test_an_unknown_norm_is_rejected() -> None:
    with pytest.raises(UserError, match=r"decoder\.norm=behind: expected before or after"):
        Transformer(V, ANNOTATION, FINAL, READ, MIXER, D, FEED, LAYERS, "behind", 0.0)
