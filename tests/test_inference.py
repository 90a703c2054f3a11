"""Intervals and tests of paired differences: by hand, against tables, and by how often they cover."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from softlookup.analysis import inference
from softlookup.analysis.inference import (
    bootstrap_interval,
    holm,
    interquartile_mean,
    pairs_needed,
    probability_of_improvement,
    sign_flip,
    t_interval,
    t_quantile,
)

DIFFERENCES = [0.31, 0.47, 0.22, 0.55, 0.4, 0.38]


@pytest.mark.parametrize(
    ("freedom", "quantile"), [(1, 12.706205), (2, 4.302653), (5, 2.570582), (7, 2.364624), (30, 2.042272)]
)
def test_quantiles_of_t_are_those_of_the_tables(freedom: int, quantile: float) -> None:
    assert t_quantile(freedom) == pytest.approx(quantile, abs=1e-6)


def test_the_t_interval_by_hand() -> None:
    """Differences 1 and 3: mean 2, standard error 1, and tan(0.475 π) = 12.7062 for one degree of freedom."""
    quantile = math.tan(0.475 * math.pi)
    assert t_interval([1.0, 3.0]) == pytest.approx((2 - quantile, 2 + quantile), abs=1e-9)


@pytest.mark.parametrize("interval", [t_interval, bootstrap_interval])
def test_an_interval_moves_and_scales_with_its_values(interval: Callable[[list[float]], tuple[float, float]]) -> None:
    low, high = interval(DIFFERENCES)
    assert low < np.mean(DIFFERENCES) < high
    assert interval([7 + 3 * value for value in DIFFERENCES]) == pytest.approx((7 + 3 * low, 7 + 3 * high), abs=1e-9)
    assert interval([-value for value in DIFFERENCES])[0] == pytest.approx(-high, abs=0.05)


@pytest.mark.parametrize("interval", [t_interval, bootstrap_interval])
def test_too_few_pairs_have_no_interval(interval: Callable[[list[float]], tuple[float, float]]) -> None:
    assert all(map(math.isnan, interval([])))
    assert all(map(math.isnan, interval([1.0])))


def test_equal_differences_have_an_interval_without_width() -> None:
    for values in ([0.5] * 7, [0.1 + 0.2, 0.3, 0.3, 0.3, 0.3]):
        assert bootstrap_interval(values) == pytest.approx((values[1], values[1]), abs=1e-12)
        assert t_interval(values) == pytest.approx((values[1], values[1]), abs=1e-12)


def test_three_pairs_have_no_bootstrap_interval_and_four_have_one_with_bounds() -> None:
    assert all(map(math.isnan, bootstrap_interval([1.0, 2.0, 4.0])))
    assert all(map(math.isfinite, bootstrap_interval([1.0, 2.0, 4.0, 7.0])))


# Draws of n differences and their mean; skewed ones are as skewed as accuracies near their limits are.
SYMMETRIC = {
    "normal": (lambda g, n: g.normal(0.3, 1, n), 0.3),
    "in steps of an eighth": (lambda g, n: g.binomial(8, 0.5, n) / 8, 0.5),
}
SKEWED = {
    "gamma of shape 4": (lambda g, n: g.gamma(4, 1, n), 4.0),
    "in steps, skewed": (lambda g, n: g.binomial(8, 0.3, n) / 8, 0.3),
}
CASES = [(t_interval, name, n) for name in SYMMETRIC for n in (6, 8)]
CASES += [(bootstrap_interval, name, n) for name in (*SYMMETRIC, *SKEWED) for n in (8,)]


@pytest.mark.parametrize(("interval", "name", "n"), CASES, ids=lambda value: getattr(value, "__name__", str(value)))
def test_an_interval_of_95_percent_covers_in_93_to_97_percent(
    interval: Callable[[np.ndarray], tuple[float, float]], name: str, n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference, "RESAMPLES", 999)
    draw, mean = (SYMMETRIC | SKEWED)[name]
    generator, cases = np.random.default_rng(7), 2000
    found = [ends for _ in range(cases) if not math.isnan((ends := interval(draw(generator, n)))[0])]
    assert len(found) >= 0.95 * cases  # the others have no bootstrap interval, since most differences are equal
    assert 0.93 <= sum(low <= mean <= high for low, high in found) / len(found) <= 0.97


@pytest.mark.parametrize("values", [[1, 1, 1, 2], [1] * 7 + [2], [0] * 6 + [1, 1]])
def test_where_most_differences_are_equal_there_is_no_bootstrap_interval(values: list[float]) -> None:
    """Of the resamples more than one in forty are all equal, so one bound would be infinite."""
    assert all(map(math.isnan, bootstrap_interval(values)))


def test_holm_by_hand_with_a_value_that_is_missing() -> None:
    """0.01 · 3, then the larger of that and 0.02 · 2, then of that and 0.04 · 1."""
    assert holm([0.04, math.nan, 0.01, 0.02])[0] == pytest.approx(0.04)
    assert math.isnan(holm([0.04, math.nan, 0.01, 0.02])[1])
    assert holm([0.04, math.nan, 0.01, 0.02])[2:] == pytest.approx([0.03, 0.04])
    assert holm([]) == []


@pytest.mark.parametrize("comparisons", [1, 2, 3, 6, 25])
def test_as_many_pairs_as_are_needed_can_decide_and_one_less_cannot(comparisons: int) -> None:
    n = pairs_needed(comparisons)
    assert sign_flip([1.0] * n)[1] * comparisons <= 0.05 < sign_flip([1.0] * (n - 1))[1] * comparisons


# Values of scipy 1.17.1 and statsmodels 0.15.0. They are not installed: if scipy were, torchmetrics would import it in
# every process. ttest_1samp(x, 0).confidence_interval(), permutation_test(permutation_type="samples") over all signs,
# trim_mean(x, 0.25), mannwhitneyu(x, y).statistic / (n m), multipletests(method="holm").
EIGHT = [0.31, 0.27, 0.44, 0.12, 0.38, 0.29, 0.51, 0.33]
SEVEN = [0.9, -0.2, 0.05, 0.4, 0.7, -0.1, 0.33]


@pytest.mark.parametrize(
    ("values", "interval", "p", "middle"),
    [
        (EIGHT, (0.2329953096253248, 0.4295046903746753), 0.0078125, 0.3275),
        (SEVEN, (-0.08105438779420093, 0.6753401020799151), 0.109375, 0.276),
    ],
)
def test_figures_are_those_of_scipy(
    values: list[float], interval: tuple[float, float], p: float, middle: float
) -> None:
    assert t_interval(values) == pytest.approx(interval)
    assert sign_flip(values)[0] == p
    assert interquartile_mean(values) == pytest.approx(middle)


def test_improvement_and_holm_are_those_of_scipy_and_statsmodels() -> None:
    assert probability_of_improvement(EIGHT, SEVEN) == pytest.approx(0.5267857142857143)
    assert holm([2 / 2**8, 2 / 2**6, 0.5, 2 / 2**7, 2 / 2**8]) == [0.0390625, 0.0625, 0.5, 0.046875, 0.0390625]
