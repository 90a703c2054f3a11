"""Hard links, their symmetrization and AER, by hand and by properties that hold for any links."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from softlookup.evaluation.metrics.links import (
    SYMMETRIZATIONS,
    aer,
    grow_diag_final_and,
    hard,
    intersection,
    lifted,
    turned,
    union,
)
from softlookup.text.pharaoh import Gold

Links = frozenset[tuple[int, int]]
ANY = st.frozensets(st.tuples(st.integers(0, 6), st.integers(0, 4)), max_size=17)


def gold(sure: str, possible: str = "") -> Gold:
    sure_links, others = links(sure), links(possible)
    return Gold(sure_links, sure_links | others)


def links(text: str) -> Links:
    return frozenset((int(one), int(other)) for one, other in (word.split("-") for word in text.split()))


def test_each_target_word_is_linked_to_the_source_word_of_highest_weight() -> None:
    weights = np.array([[0.1, 0.7, 0.2], [0.4, 0.4, 0.2], [0.0, 0.0, 0.0], [0.0, 0.1, 0.9], [0.2, 0.5, 0.3]])
    assert hard(weights) == links("1-0 0-1 2-3 1-4")
    assert hard(np.zeros((0, 3))) == hard(np.zeros((3, 0))) == frozenset()


def test_links_of_pieces_become_links_of_words() -> None:
    # Source words: 0 of the pieces 0 and 1, 1 of piece 2. Target words: 0 of piece 0, 1 of the pieces 1, 2 and 3.
    assert lifted(links("0-0 1-1 2-2 2-3"), (0, 0, 1), (0, 1, 1, 1)) == links("0-0 0-1 1-1")


def test_aer_by_hand() -> None:
    # A = {0-0, 1-1, 2-1}, S = {0-0, 1-2}, P = S ∪ {1-1}: one link of A is sure, two are possible.
    assert aer([links("0-0 1-1 2-1")], [gold("0-0 1-2", "1-1")]) == pytest.approx(1 - (1 + 2) / (3 + 2))
    assert aer([links("0-0 1-2 1-1")], [gold("0-0 1-2", "1-1")]) == 0
    assert aer([frozenset()], [gold("0-0")]) == aer([links("1-1")], [gold("0-0")]) == 1
    assert aer([frozenset()], [gold("")]) is None


def test_aer_sums_over_the_corpus_and_rejects_unequal_counts() -> None:
    predicted, gold_links = [links("0-0"), links("0-0 1-1 2-2")], [gold("1-1"), gold("0-0 1-1 2-2")]
    assert aer(predicted, gold_links) == pytest.approx(1 - 6 / 8)
    with pytest.raises(ValueError, match="2 pairs and gold of 1"):
        aer(predicted, gold_links[:1])


def test_growing_by_hand() -> None:
    # Intersection: 0-0 and 3-3. grow-diag adds 1-1 (diagonal to 0-0) and then 2-1 (next to 1-1). final-and adds 5-4,
    # whose words have no link, and leaves out 4-0, because target word 0 is linked.
    forward, backward = links("0-0 1-1 3-3 5-4 4-0"), links("0-0 2-1 3-3")
    assert intersection(forward, backward) == links("0-0 3-3")
    assert union(forward, backward) == links("0-0 1-1 2-1 3-3 4-0 5-4")
    assert grow_diag_final_and(forward, backward) == links("0-0 1-1 2-1 3-3 5-4")


def test_growing_stops_where_both_words_have_links() -> None:
    # A square of four links with a common diagonal: the words of the other corners are linked already.
    assert grow_diag_final_and(links("0-0 1-1 0-1"), links("0-0 1-1 1-0")) == links("0-0 1-1")


def test_final_and_adds_forward_links_before_backward_links() -> None:
    # No neighbours, and both use source word 3: the forward link is added first and excludes the backward one.
    assert grow_diag_final_and(links("3-3"), links("3-0")) == links("3-3")
    assert grow_diag_final_and(links("3-0"), links("3-3")) == links("3-0")


@given(ANY, ANY)
def test_grow_diag_final_and_invariants_hold_for_any_links(forward: Links, backward: Links) -> None:
    found = grow_diag_final_and(forward, backward)
    assert intersection(forward, backward) <= found <= union(forward, backward)
    assert turned(turned(found)) == found
    # Every link of the union that is left out has a word that is linked already.
    sources, targets = {s for s, _ in found}, {t for _, t in found}
    assert all(s in sources or t in targets for s, t in union(forward, backward) - found)
    for rule in SYMMETRIZATIONS.values():
        assert rule(forward, forward) == forward
