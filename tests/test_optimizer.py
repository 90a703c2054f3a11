"""The learning rate at points that can be worked out by hand, and the refusal of others."""

import pytest
import torch

from softlookup.errors import UserError
from softlookup.optimizer.adam import Adam


@pytest.mark.parametrize(
    ("progress", "factor"),
    [(0.0, 0.0), (0.05, 0.25), (0.1, 0.5), (0.2, 1.0), (0.4, 0.775), (0.6, 0.55), (1.0, 0.1), (1.2, 0.1)],
)
def test_factor_rises_and_falls_linearly(progress: float, factor: float) -> None:
    # From 1 at 0.2 down to 0.1 at 1: −0.9 / 0.8 per unit.
    assert Adam(0.003, warmup=0.2, final=0.1, clip=1.0).factor(progress) == pytest.approx(factor)


@pytest.mark.parametrize(("final", "factors"), [(1.0, [1, 1, 1]), (0.0, [1, 0.5, 0])])
def test_no_warmup_starts_at_the_full_rate(final: float, factors: list[float]) -> None:
    plan = Adam(0.003, warmup=0.0, final=final, clip=1.0)
    assert [plan.factor(progress) for progress in (0.0, 0.5, 1.0)] == pytest.approx(factors)


def test_a_step_is_that_of_adam() -> None:
    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = Adam(0.01, warmup=0.0, final=1.0, clip=1.0).build([weight])
    (weight * torch.tensor([3.0, -5.0])).sum().backward()
    optimizer.step()
    # The first step is the rate times the sign of the gradient.
    assert torch.allclose(weight, torch.tensor([0.99, -1.99]))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"rate": 0.0}, r"optimizer\.rate=0\.0"),
        ({"rate": float("nan")}, r"optimizer\.rate=nan"),
        ({"rate": float("inf")}, r"optimizer\.rate=inf"),
        ({"clip": -1.0}, r"optimizer\.clip=-1\.0"),
        ({"warmup": 1.0}, r"optimizer\.warmup=1\.0"),
        ({"warmup": -0.1}, r"optimizer\.warmup=-0\.1"),
        ({"final": 1.1}, r"optimizer\.final=1\.1"),
    ],
)
def test_values_out_of_range_are_named(wrong: dict[str, float], said: str) -> None:
    with pytest.raises(UserError, match=said):
        Adam(**{"rate": 0.003, "warmup": 0.1, "final": 0.1, "clip": 1.0} | wrong)
