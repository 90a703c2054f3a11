"""Token measures by hand."""

import pytest

from softlookup.evaluation.metrics.sequence import agreed, area, by_length, effective_length, exact, measure, right
from softlookup.text.vocabulary import EOS, PAD, UNK


@pytest.mark.parametrize(
    ("hypothesis", "expected"),
    [
        ([5, 7, 11, EOS], [1, 1, 1, 1]),
        ([5, 7, 11, EOS, PAD, PAD, 13], [1, 1, 1, 1]),
        ([5, 7, EOS, PAD, PAD], [1, 1, 0, 0]),
        ([5, 7, EOS, EOS], [1, 1, 0, 0]),
        ([5, 11, 7, 13, EOS], [1, 0, 0, 0]),
        ([5, 7, 11], [1, 1, 1, 0]),
        ([], [0, 0, 0, 0]),
    ],
)
def test_right_compares_tokens_at_equal_positions(hypothesis, expected):
    assert right(hypothesis, [5, 7, 11]).tolist() == [bool(e) for e in expected]


def test_an_unknown_token_is_never_right_and_stays_in_the_denominator():
    assert right([5, UNK, 11, EOS], [5, UNK, 11]).tolist() == [True, False, True, True]
    found = measure([[UNK, UNK, EOS], [5, EOS]], [[UNK, UNK], [5]])
    assert found == {"token_accuracy": pytest.approx(3 / 5), "exact_match": 0.5}


@pytest.mark.parametrize(
    ("hypothesis", "positions"),
    [
        ([5, 7, 11, EOS], 3),
        ([5, 7, 11, 13, EOS], 3),
        ([5, 11, EOS], 1),
        ([5, 7, EOS, 11], 2),
        ([7, 5, 7, 11, EOS], 0),
        ([EOS], 0),
        ([], 0),
    ],
)
def test_positions_before_the_first_difference(hypothesis, positions):
    assert agreed(hypothesis, [5, 7, 11]) == positions


def test_exact_match_compares_texts_where_they_are_given():
    pieces = [7, 11, EOS], [13]
    assert not exact(*pieces)
    assert exact(*pieces, ("ab", "ab"))
    assert not exact(*pieces, ("ab", "aB"))
    assert not exact([UNK, EOS], [UNK], ("⁇", "⁇"))
    assert exact([7, EOS, UNK], [7], ("a", "a"))
    assert measure([pieces[0]] * 2, [pieces[1]] * 2, [("ab", "ab"), ("ab", "b")])["exact_match"] == 0.5


def test_measure_counts_reference_positions():
    found = measure([[5, EOS], [5, 7, 11, EOS], [EOS]], [[5], [5, 7, 13], []])
    assert found["token_accuracy"] == pytest.approx((2 + 3 + 1) / (2 + 4 + 1))
    assert found["exact_match"] == pytest.approx(2 / 3)


def test_an_empty_set_has_no_accuracy_and_counts_must_match():
    assert measure([], []) == {"token_accuracy": None, "exact_match": None}
    with pytest.raises(ValueError, match="1 hypotheses and 2 references"):
        measure([[5]], [[5], [7]])
    with pytest.raises(ValueError, match="1 hypotheses and 1 references, 2 with texts"):
        measure([[5]], [[5]], [None, None])


def test_by_length_takes_inclusive_bounds():
    rows = by_length([3, 5, 7, 5, 23], [(2, 3), (4, 5), (8, 11)], lambda members: {"members": members})
    assert [row["members"] for row in rows] == [[0], [1, 3], []]
    assert [(row["low"], row["high"], row["count"]) for row in rows] == [(2, 3, 1), (4, 5, 2), (8, 11, 0)]


def curve(*points):
    return [{"low": low, "high": high, "token_accuracy": value} for low, high, value in points]


def test_area_by_hand():
    # trapezoids over the bucket centres 2, 4 and 10: 2 × 0.75 + 6 × 0.25
    assert area(curve((9, 11, 0.0), (1, 3, 1.0), (4, 4, 0.5))) == pytest.approx((1.5 + 1.5) / 8)
    assert area(curve((1, 3, 1.0), (4, 4, 1.0), (6, 6, None), (9, 11, 1.0))) == pytest.approx(1)
    assert area(curve((1, 3, 1.0), (4, 4, None))) is None
    assert area([]) is None


def test_effective_length_stops_at_the_first_failure():
    assert effective_length(curve((1, 3, 0.95), (4, 7, 0.9), (8, 11, 0.89), (12, 13, 1.0))) == 7
    assert effective_length(curve((1, 3, 0.95), (4, 7, None), (8, 11, 1.0))) == 11
    assert effective_length(curve((1, 3, 0.5), (4, 7, 1.0))) == 0
    assert effective_length(curve((1, 3, None))) is None
