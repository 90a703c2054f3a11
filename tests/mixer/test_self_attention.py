"""Self-attention: what it refuses, how far a score by position reaches, and where a fused kernel computes it."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from toys.coverage import Coverage

from softlookup.attention.additive import Additive
from softlookup.attention.cosine import Cosine
from softlookup.attention.dot import Dot
from softlookup.attention.general import General
from softlookup.attention.location import Location
from softlookup.attention.scaled_dot import ScaledDot
from softlookup.contract import Score
from softlookup.errors import UserError
from softlookup.fused import additive, context
from softlookup.mixer.self_attention import SelfAttention
from softlookup.normalizer.softmax import Softmax
from softlookup.normalizer.sparsemax import Sparsemax

B, T, D = 2, 5, 14
MASK = torch.ones(B, T, dtype=torch.bool)


def test_heads_that_do_not_divide_the_width_are_rejected_with_those_that_do() -> None:
    with pytest.raises(UserError, match=r"mixer\.heads=3 does not divide 14, .*; these do: 1, 2, 7, 14"):
        SelfAttention(D, ScaledDot, Softmax(), 3)


def test_a_score_that_hears_earlier_weights_is_rejected() -> None:
    with pytest.raises(UserError, match="cannot use the weights of earlier steps"):
        SelfAttention(D, Coverage, Softmax(), 2)


def test_positions_beyond_the_reach_of_a_score_are_masked() -> None:
    mixer = SelfAttention(D, partial(Location, longest=3), Softmax(), 2)
    x = torch.randn(B, T, D)
    for past in (None, mixer.begin(x)):
        weights = mixer.weights(x, MASK, past)
        assert not weights[..., 3:].any()
        assert torch.allclose(weights.sum(-1), torch.ones(B, 2, T))
    _, past = mixer(x, MASK, mixer.begin(x))
    following = torch.randn(B, 1, D)
    alone = mixer(following, MASK[:, :1], past)[0]
    together = mixer(torch.cat([x, following], 1), torch.ones(B, T + 1, dtype=torch.bool), mixer.begin(x))[0]
    assert torch.allclose(alone, together[:, -1:], atol=1e-6)


@pytest.mark.parametrize(
    ("score", "sparse", "kernel"),
    [
        (ScaledDot, False, "dot"),
        (Dot, False, "dot"),
        (General, False, "dot"),
        (Cosine, False, "dot"),
        (ScaledDot, True, None),
        (partial(Additive, width=3), False, "additive"),
        (partial(Additive, width=3), True, None),
    ],
)
def test_softmax_attention_of_many_positions_is_computed_by_fused_kernels(
    score: type[Score], sparse: bool, kernel: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    mixer = SelfAttention(D, score, Sparsemax() if sparse else Softmax(), 2)
    calls: list[str] = []
    dot, perceptron = F.scaled_dot_product_attention, additive.attend
    monkeypatch.setattr(F, "scaled_dot_product_attention", lambda *a, **k: calls.append("dot") or dot(*a, **k))
    monkeypatch.setattr(additive, "attend", lambda *a: calls.append("additive") or perceptron(*a))
    monkeypatch.setattr(context, "_ELEMENTS", 0)  # where there is no C compiler
    x, mask = torch.randn(B, 31, D), torch.ones(B, 31, dtype=torch.bool)
    for past in (None, mixer.begin(x)):
        mixed, _ = mixer(x, mask, past)
        values = mixer.projections(x).unflatten(-1, (3, 2, -1))[:, :, 2].transpose(1, 2)
        plain = mixer.merge((mixer.weights(x, mask, past) @ values).transpose(1, 2).flatten(-2))
        assert torch.allclose(mixed, plain, rtol=0, atol=1e-5)
    assert calls == [kernel] * 2 * (kernel is not None)
