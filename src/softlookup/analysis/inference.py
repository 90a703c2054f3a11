"""Infer from paired differences how large a gain is and how sure: intervals, exact tests, corrections. No torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache, lru_cache

import mpmath
import numpy as np

LEVEL = 0.95
ALPHA = 1 - LEVEL
RESAMPLES = 9_999
MOST_EXACT_PAIRS = 20  # 2^20 sign patterns take a second to sum; with more pairs they are sampled
SAMPLED_PATTERNS = 100_000

Interval = tuple[float, float]
NONE: Interval = (math.nan, math.nan)


def t_interval(differences: Sequence[float]) -> Interval:
    """Return the 95 % interval of the mean of paired differences, by Student's t with n - 1 degrees of freedom.

    NaN below two pairs. Exact for normal differences; with few skewed ones it covers less.
    """
    values = np.asarray(differences, dtype=float)
    if len(values) < 2:
        return NONE
    half = t_quantile(len(values) - 1) * _error(values)
    return float(values.mean()) - half, float(values.mean()) + half


@cache
def t_quantile(freedom: int) -> float:
    """Return the number that |t| of so many degrees of freedom exceeds with probability 0.05.

    P(|t| > q) is the regularized incomplete beta function I_x(ν/2, 1/2) at x = ν / (ν + q²).

    >>> round(t_quantile(5), 4)
    2.5706
    """

    def excess(q: float) -> float:
        return float(mpmath.betainc(freedom / 2, 0.5, 0, freedom / (freedom + q * q), regularized=True)) - ALPHA

    return float(mpmath.findroot(excess, (1, 20), solver="ridder"))


def bootstrap_interval(differences: Sequence[float]) -> Interval:
    """Return the 95 % interval of the mean of paired differences, by the studentized bootstrap (bootstrap-t).

    t* = (mean* − mean) / error* over 9,999 resamples of the pairs, with a fixed seed; the interval is
    mean − q(t*) · error at both ends (Efron & Tibshirani 1993, chapter 12.5). A resample of equal differences has
    error* = 0, so its t* is infinite, with the sign of mean* − mean. NaN where a bound is infinite: below four pairs,
    where one resample in nine has equal differences, and where most differences are equal.
    """
    values = np.asarray(differences, dtype=float)
    if len(values) < 4:
        return NONE
    error, mean = _error(values), float(values.mean())
    least = 1e-12 * np.abs(values).max()  # rounding may leave so much in place of no error
    if error <= least:
        return mean, mean
    drawn = values[resamples(len(values))]
    means = drawn.mean(1)
    errors = drawn.std(1, ddof=1) / math.sqrt(len(values))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = (means - mean) / errors
    ratios = np.where(errors <= least, np.copysign(np.inf, means - mean), ratios)
    low, high = np.quantile(ratios, [ALPHA / 2, 1 - ALPHA / 2], method="inverted_cdf")
    interval = mean - float(high) * error, mean - float(low) * error
    return interval if all(map(math.isfinite, interval)) else NONE


@lru_cache(maxsize=4)
def resamples(count: int) -> np.ndarray:
    """Return the indices of all resamples of so many pairs; always the same."""
    return np.random.default_rng(0).integers(0, count, (RESAMPLES, count))


def _error(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) / math.sqrt(len(values))


def sign_flip(differences: Sequence[float]) -> tuple[float, float]:
    """Compute the two-sided sign-flip test of paired differences: p, and the smallest p possible with n pairs, 2 / 2^n.

    p is the share of the 2^n sign patterns whose |sum| is at least the observed one (Fisher's randomization test).
    Above 20 pairs, 100,000 patterns are sampled, and p = (hits + 1) / 100,001.

    >>> sign_flip([1.0, 2.0, 3.0])
    (0.25, 0.25)
    """
    values = np.asarray(differences, dtype=float)
    if len(values) == 0:
        return float("nan"), 1.0
    reach = abs(values.sum()) - 1e-9 * np.abs(values).sum()  # tolerance for rounding of equal sums
    if len(values) > MOST_EXACT_PAIRS:
        generator, total = np.random.default_rng(0), np.zeros(SAMPLED_PATTERNS)
        for value in values:
            total += value * (2 * generator.integers(0, 2, SAMPLED_PATTERNS, dtype=np.int8) - 1)
        hits = int((np.abs(total) >= reach).sum())
        return (hits + 1) / (SAMPLED_PATTERNS + 1), 1 / (SAMPLED_PATTERNS + 1)
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    return float((np.abs(sums) >= reach).mean()), min(1.0, 2.0 / len(sums))


def holm(ps: Sequence[float]) -> list[float]:
    """Return p values corrected for their number by Holm's step-down method; NaN stays NaN and is not counted.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    known = sorted((p, place) for place, p in enumerate(ps) if not math.isnan(p))
    corrected, largest = [math.nan] * len(ps), 0.0
    for rank, (p, place) in enumerate(known):
        largest = max(largest, min(1.0, p * (len(known) - rank)))
        corrected[place] = largest
    return corrected


def pairs_needed(comparisons: int) -> int:
    """Return the fewest pairs with which a sign-flip test can reach p ≤ 0.05 when so many comparisons are corrected.

    The smallest p of n pairs is 2 / 2^n, and Holm multiplies the smallest by the number of comparisons.

    >>> [pairs_needed(count) for count in (1, 2, 3, 6, 25)]
    [6, 7, 7, 8, 10]
    """
    return math.ceil(math.log2(2 * comparisons / ALPHA) - 1e-9)


def probability_of_improvement(values: Sequence[float], others: Sequence[float]) -> float:
    """Return P(X > Y) + P(X = Y) / 2 for a run X of one variant and a run Y of another (Agarwal et al. 2021).

    It is the Mann-Whitney statistic divided by the number of pairs of runs, each with each.

    >>> probability_of_improvement([1.0, 3.0], [1.0, 2.0])
    0.625
    """
    one, other = np.asarray(values, dtype=float)[:, None], np.asarray(others, dtype=float)[None, :]
    return float(((one > other) + 0.5 * (one == other)).mean())


def interquartile_mean(values: Sequence[float]) -> float:
    """Return the mean of the middle half of the values: of n, the floor(n / 4) lowest and highest are left out
    (Agarwal et al. 2021; a 25 % trimmed mean). NaN without values.

    >>> interquartile_mean([9.0, 1.0, 2.0, 4.0])
    3.0
    """
    ordered = np.sort(np.asarray(values, dtype=float))
    cut = len(ordered) // 4
    return float(ordered[cut : len(ordered) - cut].mean()) if len(ordered) else math.nan


def performance_profile(values: Sequence[float], thresholds: Sequence[float]) -> list[float]:
    """Return for each threshold τ the share of runs whose value exceeds it (Agarwal et al. 2021).

    >>> performance_profile([0.2, 0.5], [0.1, 0.2, 0.9])
    [1.0, 0.5, 0.0]
    """
    known = np.asarray(values, dtype=float)
    return [float((known > threshold).mean()) for threshold in thresholds]
