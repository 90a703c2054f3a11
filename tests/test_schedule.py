"""Learning rate schedules at points computed by hand, and the rejection of values out of range."""

import pytest

from softlookup.contract import Schedule
from softlookup.errors import UserError
from softlookup.schedule.constant import Constant
from softlookup.schedule.halving import Halving
from softlookup.schedule.inverse_sqrt import InverseSqrt
from softlookup.schedule.linear import Linear


@pytest.mark.parametrize(
    ("progress", "factor"),
    [(0.0, 0.0), (0.05, 0.25), (0.1, 0.5), (0.2, 1.0), (0.4, 0.775), (0.6, 0.55), (1.0, 0.1), (1.2, 0.1)],
)
def test_linear_warms_up_and_decays_linearly(progress: float, factor: float) -> None:
    # From 1 at 0.2 down to 0.1 at 1: −0.9 / 0.8 per unit.
    assert Linear(warmup=0.2, final=0.1).factor(progress, 1) == pytest.approx(factor)


@pytest.mark.parametrize(("final", "factors"), [(1.0, [1, 1, 1]), (0.0, [1, 0.5, 0])])
def test_no_warmup_starts_at_the_full_rate(final: float, factors: list[float]) -> None:
    schedule = Linear(warmup=0.0, final=final)
    assert [schedule.factor(progress, 1) for progress in (0.0, 0.5, 1.0)] == pytest.approx(factors)


def test_constant_is_one() -> None:
    assert {Constant().factor(progress, step) for progress, step in ((0.0, 1), (0.5, 99), (1.0, 10**6))} == {1.0}


@pytest.mark.parametrize("step", [1, 17, 3999, 4000, 4001, 100_000])
def test_inverse_sqrt_follows_equation_3_of_vaswani_et_al(step: int) -> None:
    width, warm_up = 512, 4000
    paper = width**-0.5 * min(step**-0.5, step * warm_up**-1.5)
    peak = (width * warm_up) ** -0.5
    assert peak * InverseSqrt(warm_up).factor(0.3, step) == pytest.approx(paper, rel=1e-12)


@pytest.mark.parametrize("steps", [1, 98, 1999])
def test_a_warm_up_longer_than_the_run_is_noted(steps: int) -> None:
    assert InverseSqrt(2000).notes(400_000, steps) == [
        f"schedule=inverse_sqrt warms up for 2,000 steps, and budget=400000 ends after about {steps:,}: the rate never "
        "reaches its peak; raise budget, or lower schedule.warm_up_steps"
    ]


@pytest.mark.parametrize("schedule", [Constant(), Halving(0.5, 0.1), Linear(0.02, 0.05), InverseSqrt(2000)])
def test_a_run_that_is_long_enough_gets_no_note(schedule: Schedule) -> None:
    assert schedule.notes(400_000, 2000) == []


def test_halving_starts_after_the_fifth_of_ten_epochs_and_repeats_every_epoch() -> None:
    luong = Halving(first=0.5, every=0.1)
    middles = [luong.factor((epoch + 0.5) / 10, 1) for epoch in range(10)]
    assert middles == [1, 1, 1, 1, 1, 1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32]
    ends = [luong.factor(tenths / 10, 1) for tenths in range(5, 10)]
    assert ends == [1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Linear(1.0, 0.1), r"schedule\.warmup=1\.0"),
        (lambda: Linear(-0.1, 0.1), r"schedule\.warmup=-0\.1"),
        (lambda: Linear(0.1, 1.1), r"schedule\.final=1\.1"),
        (lambda: InverseSqrt(0), r"schedule\.warm_up_steps=0"),
        (lambda: Halving(0.5, 0.0), r"schedule\.every=0\.0"),
        (lambda: Halving(1.5, 0.1), r"schedule\.first=1\.5"),
    ],
)
def test_values_out_of_range_are_rejected_by_name(make: type[Schedule], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make()
