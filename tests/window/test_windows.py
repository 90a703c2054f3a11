"""Each window against sums computed by hand."""

import math
from typing import Any

import pytest
import torch
from choices import OFFERED, WINDOW, node
from torch import Tensor

from softlookup.attention.location import Location
from softlookup.attention.soft import SoftAttention
from softlookup.config.build import build
from softlookup.config.resolve import composed
from softlookup.contract import Annotations, View, Widths, Window
from softlookup.errors import UserError
from softlookup.normalizer.sigmoid import Sigmoid
from softlookup.normalizer.softmax import Softmax
from softlookup.window.local_m import LocalM
from softlookup.window.local_p import LocalP
from softlookup.window.unrestricted import Global

B, T, S, Q, K = 3, 5, 7, 11, 13
LENGTHS = (7, 3, 0)
MASK = torch.arange(S) < torch.tensor(LENGTHS).unsqueeze(1)

EVERY = pytest.mark.parametrize("choice", OFFERED["window"])


def look_through(window: Window, query: Tensor, history: dict[str, Any] | None = None) -> View:
    view = window(query, MASK, history or {})
    factor = torch.ones(()) if view.factor is None else view.factor
    return View(view.mask.expand(-1, query.size(1), -1), factor.expand(len(query), query.size(1), S), view.history)


@EVERY
def test_windows_mask_padding_and_single_steps_equal_all_steps_at_once(choice: str) -> None:
    window = build(node("window", choice, **WINDOW))(Q).double()
    query = torch.randn(B, T, Q, dtype=torch.float64)
    at_once, history = look_through(window, query), {}
    assert not at_once.mask[~MASK.unsqueeze(1).expand(-1, T, -1)].any()
    assert (at_once.factor >= 0).all()
    assert (at_once.factor <= 1).all()
    for t in range(T):
        step = look_through(window, query[:, t : t + 1], history)
        history = step.history
        assert torch.equal(step.mask[:, 0], at_once.mask[:, t])
        assert torch.allclose(step.factor[:, 0], at_once.factor[:, t], rtol=0, atol=1e-14)
    assert history.keys() == at_once.history.keys()
    assert all(torch.equal(history[name], at_once.history[name]) for name in history)
    assert all(len(carried) == B for carried in history.values())


def test_local_m_is_centred_on_its_step_and_reads_zero_past_the_end_of_the_source() -> None:
    view = look_through(LocalM(Q, 2), torch.randn(B, 9, Q))
    for b, t, s in [(b, t, s) for b in range(B) for t in range(9) for s in range(S)]:
        assert view.mask[b, t, s] == (t - 2 <= s <= t + 2 and s < LENGTHS[b])
    assert view.history["step"].tolist() == [9, 9, 9]
    # Row 1 has three positions: the windows of steps 5 to 8 lie past its end.
    attention = SoftAttention(Widths(Q, K, 1), lambda *_: Location(Q, K, S), Softmax(), lambda _: LocalM(Q, 2))
    query = torch.randn(B, 9, Q, requires_grad=True)
    reading = attention(query, attention.prepare(Annotations(torch.randn(B, S, K), MASK, torch.zeros(B, 1))), {})
    assert torch.allclose(reading.weights.sum(-1)[1], torch.tensor([1.0] * 5 + [0.0] * 4))
    assert not reading.context[1, 5:].any()
    reading.context.square().sum().backward()
    assert query.grad.isfinite().all()
    assert not query.grad[1, 5:].any()


def test_local_p_is_centred_by_the_query_and_favours_its_centre() -> None:
    window, query = LocalP(Q, 2).double(), torch.randn(B, T, Q, dtype=torch.float64)
    view = look_through(window, 5 * query)
    w, v = window.hidden.weight.detach().numpy(), window.place.weight.detach().numpy()[0]
    visible = 0
    for b in range(B):
        for t in range(T):
            z = sum(v[i] * math.tanh(sum(w[i][j] * 5 * query[b, t, j].item() for j in range(Q))) for i in range(Q))
            p = LENGTHS[b] / (1 + math.exp(-z))
            for s in range(1, S + 1):
                assert view.mask[b, t, s - 1] == (abs(s - p) <= 2 and s <= LENGTHS[b])
                # σ = D / 2 = 1
                assert view.factor[b, t, s - 1].item() == pytest.approx(math.exp(-((s - p) ** 2) / 2), abs=1e-12)
                visible += int(view.mask[b, t, s - 1])
    assert 0 < visible < B * T * S


def test_the_factor_of_a_window_is_applied_after_the_normalizer() -> None:
    """With independent weights, as with sigmoid, weight removed from one position is not given to another."""
    query, states = torch.randn(1, 1, Q), torch.randn(1, S, K)
    location, window = Location(Q, K, S), LocalP(Q, 10)
    source = Annotations(states, torch.ones(1, S, dtype=torch.bool), torch.zeros(1, 1))
    plain, narrowed = (
        SoftAttention(Widths(Q, K, 1), lambda *_: location, Sigmoid(), lambda _, through=through: through)
        for through in (Global(Q), window)
    )
    factor = window(query, source.mask, {}).factor
    expected = plain(query, plain.prepare(source), {}).weights * factor
    assert torch.equal(narrowed(query, narrowed.prepare(source), {}).weights, expected)


def test_a_location_score_masks_positions_past_its_reach() -> None:
    query, states = torch.randn(B, T, Q), torch.randn(B, S, K)
    attention = SoftAttention(Widths(Q, K, 1), lambda *_: Location(Q, K, 5), Softmax(), Global)
    source = Annotations(states, MASK, torch.zeros(B, 1))
    reading = attention(query, attention.prepare(source), {})
    rows = attention.score.places.weight
    for b, reach in enumerate((5, 3)):
        expected = torch.softmax(query[b] @ rows[:reach].T, -1)
        assert torch.allclose(reading.weights[b, :, :reach], expected, atol=1e-6)
        assert not reading.weights[b, :, reach:].any()
    other = attention(query, attention.prepare(Annotations(states + 1, MASK, source.final)), {})
    assert torch.equal(other.weights, reading.weights)


def test_a_location_score_without_positions_is_rejected() -> None:
    with pytest.raises(UserError, match=r"attention\.score\.longest=0: expected at least 1"):
        composed(["attention=location", "attention.score.longest=0"])
