"""Hard links, their symmetrization and AER, by pen and paper and by what must hold for any links."""

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
    own, others = links(sure), links(possible)
    return Gold(own, own | others)


def links(text: str) -> Links:
    return frozenset((int(one), int(other)) for one, other in (word.split("-") for word in text.split()))


def test_each_target_word_has_the_source_word_of_highest_weight() -> None:
    weights = np.array([[0.1, 0.7, 0.2], [0.4, 0.4, 0.2], [0.0, 0.0, 0.0], [0.0, 0.1, 0.9], [0.2, 0.5, 0.3]])
    assert hard(weights) == links("1-0 0-1 2-3 1-4")
    assert hard(np.zeros((0, 3))) == hard(np.zeros((3, 0))) == frozenset()


def test_links_of_pieces_become_links_of_words() -> None:
    # Source words: 0 of the pieces 0 and 1, 1 of piece 2. Target words: 0 of piece 0, 1 of the pieces 1, 2 and 3.
    assert lifted(links("0-0 1-1 2-2 2-3"), (0, 0, 1), (0, 1, 1, 1)) == links("0-0 0-1 1-1")


def test_aer_by_hand() -> None:
    # A = {0-0, 1-1, 2-1}, S = {0-0, 1-2}, P = S and 1-1: one is sure, two are possible.
    assert aer([links("0-0 1-1 2-1")], [gold("0-0 1-2", "1-1")]) == pytest.approx(1 - (1 + 2) / (3 + 2))
    assert aer([links("0-0 1-2 1-1")], [gold("0-0 1-2", "1-1")]) == 0
    assert aer([frozenset()], [gold("0-0")]) == aer([links("1-1")], [gold("0-0")]) == 1
    assert aer([frozenset()], [gold("")]) is None


def test_aer_counts_over_the_corpus_and_needs_as_many_pairs() -> None:
    made, known = [links("0-0"), links("0-0 1-1 2-2")], [gold("1-1"), gold("0-0 1-1 2-2")]
    assert aer(made, known) == pytest.approx(1 - 6 / 8)
    with pytest.raises(ValueError, match="2 pairs and gold of 1"):
        aer(made, known[:1])


def test_growing_by_hand() -> None:
    # Both say 0-0 and 3-3. 1-1 is diagonal to 0-0; 2-1 then straight to 1-1. 5-4 has a neighbour nowhere, but its words
    # have no link: in the end it is added. 4-0 has not either, and target word 0 has its link: it is left out.
    forward, backward = links("0-0 1-1 3-3 5-4 4-0"), links("0-0 2-1 3-3")
    assert intersection(forward, backward) == links("0-0 3-3")
    assert union(forward, backward) == links("0-0 1-1 2-1 3-3 4-0 5-4")
    assert grow_diag_final_and(forward, backward) == links("0-0 1-1 2-1 3-3 5-4")


def test_growing_stops_where_both_words_have_links() -> None:
    # A square of four links of which the diagonal is common: its corners' words are taken.
    assert grow_diag_final_and(links("0-0 1-1 0-1"), links("0-0 1-1 1-0")) == links("0-0 1-1")


def test_in_the_end_forward_links_come_before_backward_ones() -> None:
    # Far apart and in conflict over source word 3: the forward one is added first, and then the other may not be.
    assert grow_diag_final_and(links("3-3"), links("3-0")) == links("3-3")
    assert grow_diag_final_and(links("3-0"), links("3-3")) == links("3-0")


@given(ANY, ANY)
def test_what_holds_of_any_links(forward: Links, backward: Links) -> None:
    found = grow_diag_final_and(forward, backward)
    assert intersection(forward, backward) <= found <= union(forward, backward)
    assert turned(turned(found)) == found
    # What is left out of the union touches a word that has a link already.
    sources, targets = {s for s, _ in found}, {t for _, t in found}
    assert all(s in sources or t in targets for s, t in union(forward, backward) - found)
    for rule in SYMMETRIZATIONS.values():
        assert rule(forward, forward) == forward
