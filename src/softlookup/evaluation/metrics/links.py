"""Derive hard links from attention weights, symmetrize the links of two directions, and compute AER.

A link is (source position, target position), of tokens or of words; `lifted` maps token links to word links.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from softlookup.text.pharaoh import Gold, Links

# Neighbours of a point, straight and diagonal (Koehn, Och & Marcu 2003).
_AROUND = ((-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1))


def hard(weights: np.ndarray) -> Links:
    """Link each target position to the source position of highest weight, ties: the first (Luong 2015, section 5.4).

    weights (T, S) without the row and the column of EOS. A row without weight has no link.
    """
    if not weights.size:
        return frozenset()
    return frozenset((int(s), t) for t, s in enumerate(weights.argmax(1)) if weights[t, s] > 0)


def lifted(links: Iterable[tuple[int, int]], source: Sequence[int], target: Sequence[int]) -> Links:
    """Map token links to word links: (i, j) becomes (source[i], target[j])."""
    return frozenset((source[i], target[j]) for i, j in links)


def turned(links: Iterable[tuple[int, int]]) -> Links:
    """Exchange source and target of each link."""
    return frozenset((j, i) for i, j in links)


def intersection(forward: Links, backward: Links) -> Links:
    """Return the links that both directions have: precise but few."""
    return forward & backward


def union(forward: Links, backward: Links) -> Links:
    """Return the links that either direction has: complete but many."""
    return forward | backward


def grow_diag_final_and(forward: Links, backward: Links) -> Links:
    """Symmetrize links by growing the intersection within the union (Koehn, Och & Marcu 2003; Koehn et al. 2005).

    Repeat until nothing is added: for each link so far, ordered by target and then source, add the neighbours (straight
    or diagonal) that are in the union and whose source or target word has no link yet. Finally add the forward and then
    the backward links whose source **and** target words have no link.
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
    """Return the alignment error rate of a corpus, 1 − (|A ∩ S| + |A ∩ P|) / (|A| + |S|), with counts over all pairs
    (Och & Ney 2003).

    It is 0 if the links include all sure links and only possible ones; None if there are neither links nor gold. Raises
    ValueError when the numbers of pairs differ.
    """
    if len(made) != len(gold):
        raise ValueError(f"got the links of {len(made)} pairs and gold of {len(gold)}")
    hits = sum(len(a & g.sure) + len(a & g.possible) for a, g in zip(made, gold, strict=True))
    total = sum(len(a) + len(g.sure) for a, g in zip(made, gold, strict=True))
    return 1 - hits / total if total else None
