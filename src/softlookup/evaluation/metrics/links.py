"""Weights to hard links, links of two directions to one set, and how far a set is from gold.

A link is (source position, target position). Of tokens or of words: `lifted` takes the one to the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from softlookup.text.pharaoh import Gold, Links

# Koehn, Och & Marcu 2003: the points beside a point, straight and diagonal.
_AROUND = ((-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1))


def hard(weights: np.ndarray) -> Links:
    """Each target position to the source position of highest weight, the first of equals (Luong 2015, section 5.4).

    weights (T, S) of words alone: without the row and the column of EOS. A row without weight has no link.
    """
    if not weights.size:
        return frozenset()
    return frozenset((int(s), t) for t, s in enumerate(weights.argmax(1)) if weights[t, s] > 0)


def lifted(links: Iterable[tuple[int, int]], source: Sequence[int], target: Sequence[int]) -> Links:
    """Links between tokens as links between the words that they are part of: source[i], target[j] for (i, j)."""
    return frozenset((source[i], target[j]) for i, j in links)


def turned(links: Iterable[tuple[int, int]]) -> Links:
    """Return the links of a model of the other direction, source and target exchanged."""
    return frozenset((j, i) for i, j in links)


def intersection(forward: Links, backward: Links) -> Links:
    """Return the links of both directions: precise, and few."""
    return forward & backward


def union(forward: Links, backward: Links) -> Links:
    """Return the links of either direction: complete, and many."""
    return forward | backward


def grow_diag_final_and(forward: Links, backward: Links) -> Links:
    """Both directions' links, grown within their union (Koehn, Och & Marcu 2003; Koehn et al. 2005).

    From the intersection, as long as anything is added: at each point there is, in the order of target and then source,
    a neighbour (straight or diagonal) of the union whose source or target word has no link yet. In the end, of the
    forward and then of the backward links, those whose source **and** target words have none.
    """
    found, either = set(forward & backward), forward | backward
    sources, targets = {s for s, _ in found}, {t for _, t in found}

    def add(link: tuple[int, int]) -> None:
        found.add(link)
        sources.add(link[0])
        targets.add(link[1])

    grown = True
    while grown:
        grown = False
        for t, s in sorted((t, s) for s, t in either):
            if (s, t) not in found:
                continue
            for ds, dt in _AROUND:
                near = (s + ds, t + dt)
                if near in either and near not in found and (near[0] not in sources or near[1] not in targets):
                    add(near)
                    grown = True
    for direction in (forward, backward):
        for t, s in sorted((t, s) for s, t in direction):
            if s not in sources and t not in targets:
                add((s, t))
    return frozenset(found)


SYMMETRIZATIONS: dict[str, Callable[[Links, Links], Links]] = {
    rule.__name__: rule for rule in (intersection, union, grow_diag_final_and)
}


def aer(made: Sequence[Links], gold: Sequence[Gold]) -> float | None:
    """Alignment error rate of a corpus: 1 − (|A ∩ S| + |A ∩ P|) / (|A| + |S|), counts over all pairs (Och & Ney 2003).

    0 where all sure links were made and none that is not possible; None where there is neither a link nor gold.
    Raises ValueError when the counts of pairs differ.
    """
    if len(made) != len(gold):
        raise ValueError(f"got the links of {len(made)} pairs and gold of {len(gold)}")
    hits = sum(len(a & g.sure) + len(a & g.possible) for a, g in zip(made, gold, strict=True))
    total = sum(len(a) + len(g.sure) for a, g in zip(made, gold, strict=True))
    return 1 - hits / total if total else None
