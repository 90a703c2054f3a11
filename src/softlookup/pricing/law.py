"""Fit costs over length: an exact polynomial through few lengths, an exponent with its interval, a docstring's O(·)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from softlookup.analysis.inference import t_quantile


def extrapolated(known: Mapping[int, int | None], length: int) -> int | None:
    """Return the value at a length of the polynomial of the lowest degree through what is known; None for a missing
    value, and where the polynomial is no whole number.

    >>> extrapolated({8: 100, 12: 140, 16: 180}, 128)
    1300
    """
    if None in known.values():
        return None
    total = Fraction(0)
    for here, value in known.items():
        term = Fraction(value or 0)
        for other in known:
            term *= Fraction(length - other, here - other) if other != here else 1
        total += term
    return int(total) if total.denominator == 1 else None


@dataclass(frozen=True)
class Exponent:
    """Hold the exponent p of y = c · nᵖ and its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        value, low, high = (f"{round(number, 2) + 0.0:.2f}" for number in (self.value, self.low, self.high))
        return value if low == high else f"{value} [{low}, {high}]"


def exponent(points: Mapping[int, float]) -> Exponent | None:
    """Return the slope of log y over log n by least squares, with its t interval. None for fewer than three points and
    for values of 0: no power of n is 0.

    >>> str(exponent({2: 12.0, 4: 48.0, 8: 192.0}))
    '2.00'
    """
    if len(points) < 3 or min(points.values()) <= 0:
        return None
    x, y = [math.log(n) for n in points], [math.log(value) for value in points.values()]
    x = [each - math.fsum(x) / len(x) for each in x]
    mean = math.fsum(y) / len(y)
    spread = math.fsum(each * each for each in x)
    slope = math.fsum(one * other for one, other in zip(x, y, strict=True)) / spread
    left = math.fsum((other - mean - slope * one) ** 2 for one, other in zip(x, y, strict=True))
    freedom = len(x) - 2
    half = t_quantile(freedom) * math.sqrt(left / freedom / spread)
    return Exponent(slope, slope - half, slope + half)


def longer_half(points: Mapping[int, float | None]) -> dict[int, float]:
    """Return the points of the longer half of the lengths, at least three: at short lengths the terms of lower order
    and the fixed costs weigh."""
    known = {n: value for n, value in sorted(points.items()) if value is not None}
    return dict(list(known.items())[-max(3, math.ceil(len(known) / 2)) :])


def stated(docstring: str | None) -> dict[str, str]:
    """Return what a docstring states of time, memory and state, as in `time O(T·S·D), memory O(T·D + S·D)`.

    >>> stated("Add. A step of training takes time O(T·S·D) and memory O(T·D + S·D); decoding reads a state of O(S·D).")
    {'time': 'T·S·D', 'memory': 'T·D + S·D', 'state': 'S·D'}
    """
    text = " ".join((docstring or "").split())
    return dict(re.findall(r"\b(time|memory|state)\b(?: of)? O\(([^()]*)\)", text))


def degree(terms: str) -> int:
    """Return the power of n in a sum of products with S = T = n.

    >>> degree("T·S·D"), degree("T·D + S·D"), degree("D")
    (2, 1, 0)
    """
    return max(sum(factor in ("S", "T") for factor in term.strip().split("·")) for term in terms.split("+"))


def powers(values: Sequence[str]) -> str:
    """Format degrees as powers of n.

    >>> powers(["T·S·D", "D"])
    'n², 1'
    """
    return ", ".join({0: "1", 1: "n", 2: "n²", 3: "n³"}.get(degree(each), f"n^{degree(each)}") for each in values)
