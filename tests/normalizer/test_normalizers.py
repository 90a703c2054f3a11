"""Each normalizer against its definition, solved with a different algorithm."""

import math

import numpy as np
import pytest
import torch

from softlookup.contract import Normalizer
from softlookup.normalizer.entmax15 import Entmax15
from softlookup.normalizer.sigmoid import Sigmoid
from softlookup.normalizer.softmax import Softmax
from softlookup.normalizer.sparsemax import Sparsemax


def weigh(normalizer: Normalizer, scores: list[float], real: int | None = None) -> list[float]:
    mask = torch.arange(len(scores)) < (len(scores) if real is None else real)
    return normalizer(torch.tensor([scores], dtype=torch.float64), mask)[0].tolist()


def samples() -> list[list[float]]:
    generator = np.random.default_rng(3)
    return [(scale * generator.standard_normal(size)).tolist() for size in (1, 2, 5, 13) for scale in (0.1, 1, 5)]


def test_softmax_equals_that_of_numpy() -> None:
    assert weigh(Softmax(), [0.0, math.log(3), 99.0], real=2) == pytest.approx([1 / 4, 3 / 4, 0])


@pytest.mark.parametrize(
    ("scores", "weights"),
    [
        ([1.0, 0.0], [1.0, 0.0]),
        ([0.5, 0.0], [0.75, 0.25]),
        ([1.0, 0.8, 0.1], [0.6, 0.4, 0.0]),
        ([7.0, 7.0, 7.0], [1 / 3, 1 / 3, 1 / 3]),
        ([-100.0, -100.4, -103.0], [0.7, 0.3, 0.0]),
    ],
)
def test_sparsemax_by_hand(scores: list[float], weights: list[float]) -> None:
    assert weigh(Sparsemax(), scores) == pytest.approx(weights)


@pytest.mark.parametrize("scores", samples())
def test_sparsemax_equals_the_sorting_algorithm_of_its_paper(scores: list[float]) -> None:
    """Martins & Astudillo 2016, algorithm 1."""
    ordered = sorted(scores, reverse=True)
    support = max(k for k in range(1, len(ordered) + 1) if 1 + k * ordered[k - 1] > sum(ordered[:k]))
    threshold = (sum(ordered[:support]) - 1) / support
    assert weigh(Sparsemax(), scores) == pytest.approx([max(0.0, score - threshold) for score in scores], abs=1e-12)


@pytest.mark.parametrize("scores", samples())
def test_entmax15_solves_its_threshold_equation(scores: list[float]) -> None:
    """w_s = [e_s / 2 − τ]²₊ with Σ w = 1 (Peters et al. 2019), τ by bisection."""
    low, high = max(scores) / 2 - 1, max(scores) / 2
    for _ in range(100):
        middle = (low + high) / 2
        total = sum(max(0.0, score / 2 - middle) ** 2 for score in scores)
        low, high = (middle, high) if total > 1 else (low, middle)
    expected = [max(0.0, score / 2 - low) ** 2 for score in scores]
    assert weigh(Entmax15(), scores) == pytest.approx(expected, abs=1e-10)


def test_sigmoid_shifts_by_the_number_of_real_positions() -> None:
    def logistic(score: float) -> float:
        return 1 / (1 + math.exp(-score))

    weights = weigh(Sigmoid(), [0.3, -2.0, 1.0, 5.0], real=3)
    assert weights == pytest.approx([*(logistic(score - math.log(3)) for score in (0.3, -2.0, 1.0)), 0.0])


def test_sigmoid_rows_sum_to_about_one_where_scores_are_zero() -> None:
    # n / (1 + n)
    for length in (1, 7, 101):
        assert sum(weigh(Sigmoid(), [0.0] * length)) == pytest.approx(length / (1 + length))
