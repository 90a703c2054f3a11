"""One step of attention by dot products, computed in C, against its definition in float64."""

import pytest
import torch
from torch import Tensor

from softlookup.fused import dot_step, native

pytestmark = pytest.mark.skipif(native.library(torch.float32) is None, reason="there is no C compiler")

N, H, S = 5, 3, 11
NAN = float("nan")


def _expected(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor, scale: float) -> Tensor:
    contexts = torch.zeros(len(query), H, 1, values.size(-1), dtype=torch.float64)
    for n, h in torch.cartesian_prod(torch.arange(len(query)), torch.arange(H)).tolist():
        seen = mask[n].nonzero().flatten()
        if len(seen):
            scores = scale * keys[n, h, seen].double() @ query[n, h, 0].double()
            contexts[n, h, 0] = scores.softmax(0) @ values[n, h, seen].double()
    return contexts


@pytest.mark.parametrize(("real", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-13)])
@pytest.mark.parametrize(("width", "wide"), [(32, 32), (64, 64), (7, 5), (1, 1)])
@pytest.mark.parametrize("shared", [False, True])
def test_a_step_is_the_mean_of_visible_values(
    real: torch.dtype, tolerance: float, width: int, wide: int, shared: bool
) -> None:
    rows = torch.tensor([1, 1, 0, 2, 0]) if shared else torch.arange(N)
    # As self-attention keeps them: positions before heads, keys beside values.
    both = torch.randn(int(rows.max()) + 1, S, H, width + wide, dtype=real)
    mask = torch.rand(N, S) < 0.6
    mask[3] = False
    unseen = torch.stack([~mask[rows == row].any(0) for row in range(len(both))])
    both[unseen] = NAN
    keys, values = both.transpose(1, 2).split([width, wide], -1)
    query = 3 * torch.randn(N, 1, H, width, dtype=real).transpose(1, 2)
    found = dot_step.attend(query, keys, values, mask[:, None, None], 0.7, rows if shared else None)
    expected = _expected(query, keys[rows], values[rows], mask, 0.7)
    assert found.dtype == real
    assert torch.allclose(found.double(), expected, rtol=0, atol=tolerance)
    assert not found[3].any()


def test_several_threads_give_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    query, keys, values = torch.randn(N, H, 1, 32), torch.randn(N, H, S, 32), torch.randn(N, H, S, 32)
    alone = dot_step.attend(query, keys, values, None, 1.0)
    monkeypatch.setattr(dot_step, "_WORTH", 0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert torch.equal(dot_step.attend(query, keys, values, None, 1.0), alone)


def test_only_a_step_without_gradients_is_possible() -> None:
    query, keys = torch.randn(N, H, 2, 7), torch.randn(N, H, S, 7, requires_grad=True)
    assert not dot_step.possible(query, keys, keys, None)
    assert not dot_step.possible(query[:, :, :1], keys, keys, None)
    with torch.no_grad():
        assert dot_step.possible(query[:, :, :1], keys, keys, None)
        assert not dot_step.possible(query[:, :, :1], keys, keys, torch.ones(N, H, 1, S, dtype=torch.bool))
        assert not dot_step.possible(query[:, :, :1].bfloat16(), keys.bfloat16(), keys.bfloat16(), None)
