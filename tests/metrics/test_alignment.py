"""Alignment measures against values computed by hand and against a plain loop."""

import math

import numpy as np
import pytest

from softlookup.evaluation.metrics.alignment import measure

NOTHING = {
    "alignment_accuracy": None,
    "gold_mass": None,
    "aer": None,
    "entropy": None,
    "effective_positions": None,
    "best_offset_accuracy": None,
    "best_offset": None,
    "alignment_positions": None,
}


def sets(*positions):
    return [frozenset(p) for p in positions]


def test_measures_by_hand():
    weights = np.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8], [0.0, 1.0, 0.0], [0.2, 0.2, 0.6]])
    sure = sets({0}, {1}, {1, 2}, ())
    possible = sets({0}, {1, 2}, {1, 2}, {2})
    right = np.array([True, False, True, True])
    found = measure([weights], [sure], [possible], [right])
    assert found["alignment_accuracy"] == pytest.approx(2 / 3)
    assert found["gold_mass"] == pytest.approx((0.5 + 0.1 + 1.0) / 3)
    # |A| = |S| = 4: two links of A are sure, all four are possible.
    assert found["aer"] == pytest.approx(1 - (2 + 4) / (4 + 4))
    assert found["alignment_accuracy_given_right"] == 1.0
    assert found["alignment_positions"] == 3
    entropies = [1.5 * math.log(2), -(0.2 * math.log(0.1) + 0.8 * math.log(0.8)), 0.0]
    entropies.append(-(0.4 * math.log(0.2) + 0.6 * math.log(0.6)))
    assert found["entropy"] == pytest.approx(np.mean(entropies))
    assert found["effective_positions"] == pytest.approx(np.mean(np.exp(entropies)))


def test_every_position_has_equal_weight_across_examples():
    long, short = np.eye(5), np.eye(5)[::-1][:1]
    gold_long, gold_short = sets({0}, {1}, {2}, {3}, {4}), sets({0})
    found = measure([long, short], [gold_long, gold_short], [gold_long, gold_short])
    assert found["alignment_accuracy"] == pytest.approx(5 / 6)


def test_a_constant_offset_is_found():
    weights = np.roll(np.eye(7), 2, axis=1)[:5]
    gold = sets({0}, {1}, {2}, {3}, {4})
    found = measure([weights], [gold], [gold])
    assert found["alignment_accuracy"] == 0
    assert (found["best_offset_accuracy"], found["best_offset"]) == (1.0, -2)


def test_the_best_offset_equals_exhaustive_search():
    generator = np.random.default_rng(5)
    weights = [generator.random((11, 7)) for _ in range(3)]
    gold = [[frozenset(generator.choice(7, size=2, replace=False).tolist()) for _ in range(11)] for _ in range(3)]
    found = measure(weights, gold, gold)
    tried = {
        d: np.mean(
            [row.argmax() + d in s for w, g in zip(weights, gold, strict=True) for row, s in zip(w, g, strict=True)]
        )
        for d in range(-6, 7)
    }
    assert found["best_offset_accuracy"] == pytest.approx(max(tried.values()))
    assert tried[found["best_offset"]] == pytest.approx(max(tried.values()))
    assert found["best_offset_accuracy"] >= found["alignment_accuracy"]


@pytest.mark.parametrize("length", [3, 5, 11])
def test_a_hypothesis_is_compared_up_to_the_shorter_of_both_lengths(length):
    gold = sets({0}, {1}, {2}, {3}, {4})
    weights = np.eye(11)[:length]
    found = measure([weights], [gold], [gold])
    assert found["alignment_positions"] == min(length, 5)
    assert found["alignment_accuracy"] == found["gold_mass"] == 1.0
    assert found["aer"] == 0.0


def test_positions_without_gold_count_only_in_the_entropy():
    """After a dropped word the gold sets end at the first difference; shifted positions are not counted as wrong."""
    weights = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.5, 0.5, 0.0]])
    found = measure([weights], [sets({0})], [sets({0})])
    assert found["alignment_accuracy"] == found["gold_mass"] == found["best_offset_accuracy"] == 1.0
    assert (found["aer"], found["alignment_positions"]) == (0.0, 1)
    assert found["entropy"] == pytest.approx(math.log(2) / 3)
    assert "alignment_accuracy_given_right" not in found


def test_correctness_flags_may_be_shorter_than_the_weights():
    gold = sets({0}, {1}, {2})
    found = measure([np.eye(3)[::-1]], [gold], [gold], [np.array([True])])
    assert found["alignment_accuracy_given_right"] == 0.0
    assert measure([np.eye(3)], [gold], [gold], [np.zeros(3, bool)])["alignment_accuracy_given_right"] is None


def test_a_row_of_zero_weights_counts_as_wrong_and_gives_no_nan():
    gold = sets({0}, {1})
    found = measure([np.array([[0.0, 0.0], [0.0, 2.0]])], [gold], [gold])
    assert found["alignment_accuracy"] == found["gold_mass"] == found["best_offset_accuracy"] == 0.5
    assert found["aer"] == pytest.approx(1 - 2 / 3)
    assert (found["entropy"], found["effective_positions"]) == (0.0, 1.0)
    dark = measure([np.zeros((2, 2))], [gold], [gold])
    assert (dark["alignment_accuracy"], dark["gold_mass"], dark["best_offset_accuracy"]) == (0.0, 0.0, 0.0)
    assert (dark["aer"], dark["entropy"]) == (1.0, None)


def test_mass_and_entropy_do_not_depend_on_the_scale_of_a_row():
    generator = np.random.default_rng(3)
    weights, gold = generator.random((5, 7)), sets(*({i} for i in range(5)))
    scaled = weights * generator.random((5, 1))
    ours, theirs = measure([weights], [gold], [gold]), measure([scaled], [gold], [gold])
    assert ours == pytest.approx(theirs)


def test_uniform_weights_have_as_many_effective_positions_as_the_source():
    found = measure([np.full((3, 13), 0.25, dtype=np.float32)], [()], [()])
    assert found["effective_positions"] == pytest.approx(13)
    assert found["entropy"] == pytest.approx(math.log(13))
    assert found["alignment_accuracy"] is None
    assert found["alignment_positions"] is None


@pytest.mark.parametrize("weights", [[], [None], [np.zeros((0, 5))]])
def test_measures_without_weights_are_none(weights):
    gold = [sets({0})] * len(weights)
    assert measure(weights, gold, gold) == NOTHING


def test_unequal_list_lengths_and_gold_outside_the_source_are_rejected():
    with pytest.raises(ValueError, match="2 weights, 1 sure"):
        measure([np.eye(2), np.eye(2)], [sets({0})], [sets({0})])
    with pytest.raises(ValueError, match=r"\[3\] of a source with 3"):
        measure([np.eye(3)], [sets({3})], [sets({3})])
