"""Contract tests of every normalizer in conf/normalizer/."""

import pytest
import torch
from choices import OFFERED, build_normalizer
from torch import Tensor

T, S = 3, 7
MASK = torch.arange(S) < torch.tensor([[7], [4], [1]])

EVERY = pytest.mark.parametrize("choice", OFFERED["normalizer"])


def scores(scale: float = 1.0) -> Tensor:
    return scale * torch.randn(T, S, dtype=torch.float64)


@EVERY
@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0, 1e4])
def test_weights_are_finite_nonnegative_zero_on_padding_and_sum_to_the_row_sum(choice: str, scale: float) -> None:
    normalizer = build_normalizer(choice)
    weights = normalizer(scores(scale), MASK)
    assert weights.isfinite().all()
    assert (weights >= 0).all()
    assert not weights[~MASK].any()
    if normalizer.row_sum is not None:
        assert torch.allclose(weights.sum(-1), torch.full((T,), normalizer.row_sum, dtype=torch.float64))


@EVERY
@pytest.mark.parametrize("padding", [-1e30, -3.0, 3.0, 1e30])
def test_scores_under_the_mask_change_nothing(choice: str, padding: float) -> None:
    normalizer, given = build_normalizer(choice), scores()
    expected = [normalizer(row[real].unsqueeze(0), real[real]) for row, real in zip(given, MASK, strict=True)]
    weights = normalizer(given.masked_fill(~MASK, padding), MASK)
    for row, real, alone in zip(weights, MASK, expected, strict=True):
        assert torch.allclose(row[real], alone.squeeze(0), rtol=0, atol=1e-12)


@EVERY
def test_real_scores_far_below_their_maximum_differ_from_padding(choice: str) -> None:
    given = torch.tensor([[0.0, -1e6, -1e6, 9.0]], dtype=torch.float64)
    weights = build_normalizer(choice)(given, torch.tensor([True, True, True, False]))
    alone = build_normalizer(choice)(given[:, :3], torch.tensor([True, True, True]))
    assert torch.allclose(weights[:, :3], alone, rtol=0, atol=1e-12)


@EVERY
def test_a_higher_score_never_gets_less_weight(choice: str) -> None:
    given = scores(2.0)
    weights = build_normalizer(choice)(given, torch.ones(S, dtype=torch.bool))
    in_order = weights.gather(-1, given.argsort(-1))
    assert (in_order.diff(dim=-1) >= -1e-12).all()


@EVERY
def test_a_fully_masked_row_is_zero_with_finite_gradients(choice: str) -> None:
    given = scores().requires_grad_()
    mask = torch.stack([MASK[0], torch.zeros(S, dtype=torch.bool), MASK[1]])
    weights = build_normalizer(choice)(given, mask)
    assert not weights[1].any()
    weights.square().sum().backward()
    assert given.grad.isfinite().all()
    assert not given.grad[1].any()


@EVERY
def test_gradients_match_finite_differences(choice: str) -> None:
    normalizer = build_normalizer(choice)
    assert torch.autograd.gradcheck(lambda given: normalizer(given, MASK), scores().requires_grad_())


@EVERY
@pytest.mark.parametrize(("dtype", "kept"), [(torch.float32, torch.float32), (torch.bfloat16, torch.float32)])
def test_the_type_of_the_scores_is_kept_and_bf16_becomes_float32(
    choice: str, dtype: torch.dtype, kept: torch.dtype
) -> None:
    weights = build_normalizer(choice)(scores().to(dtype), MASK)
    assert weights.dtype == kept
    assert weights.isfinite().all()
