"""Search the learning rate of every variant alike: the grid, the choice, and quality against the number of tries.

All variants of a sweep try the same multiples of the default rate of their optimizer, on the same seeds: where the best
rate of one is at an edge, the grid grows for all of them. No torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

EXTENSIONS = 3  # steps by which a grid may grow on its own
FACTOR = 2.0  # between neighbouring rates


@dataclass(frozen=True)
class Grid:
    """Hold the exponents k of the rates default · 2ᵏ, from `low` to `high`."""

    low: int
    high: int

    @classmethod
    def around(cls, count: int) -> Grid:
        """Return so many exponents around 0, the larger half above it: 4 are −1, 0, 1, 2."""
        return cls(-((count - 1) // 2), count // 2)

    @property
    def exponents(self) -> range:
        return range(self.low, self.high + 1)

    def rates(self, default: float) -> list[float]:
        """Return the rates around a default, to six digits.

        >>> Grid.around(4).rates(0.003)
        [0.0015, 0.003, 0.006, 0.012]
        """
        return [float(f"{default * FACTOR**k:.6g}") for k in self.exponents]


@dataclass
class Tried:
    """Hold the tries of one variant: `losses` has the validation loss of each seed by exponent, infinite for a run that
    diverged. `entry` is the variant's place in the table, as in `reverse.additive`; `fixed` says that its context is
    fixed."""

    entry: str
    default: float
    fixed: bool = False
    losses: dict[int, list[float]] = field(default_factory=dict)

    def means(self) -> dict[int, float]:
        """Return the mean loss over seeds, by exponent."""
        return {k: sum(losses) / len(losses) for k, losses in sorted(self.losses.items())}

    @property
    def best(self) -> int:
        """Return the exponent with the lowest mean loss; of equal ones the smallest."""
        means = self.means()
        return min(means, key=lambda k: (means[k], k))

    @property
    def rate(self) -> float:
        """Return the best rate."""
        return Grid(self.best, self.best).rates(self.default)[0]


def at_edges(grid: Grid, tried: Iterable[Tried]) -> dict[str, int]:
    """Return the exponents of the best rates that are at an edge of the grid, by entry: beyond it may be a better one.
    A variant all of whose tries diverged is at the lower edge."""
    return {one.entry: one.best for one in tried if one.best in (grid.low, grid.high)}


def grown(grid: Grid, edges: Mapping[str, int]) -> Grid:
    """Return the grid with one more exponent at each edge that a best rate is at."""
    return Grid(grid.low - (grid.low in edges.values()), grid.high + (grid.high in edges.values()))


def expected_best(losses: Sequence[float]) -> list[float]:
    """Return the expected lowest loss of k tries drawn from `losses` with replacement, for k = 1 to their number.

    E[min] = Σ_i l_(i) ((1 − (i − 1)/n)ᵏ − (1 − i/n)ᵏ) for the sorted losses l_(1) ≤ … ≤ l_(n).  Dodge et al. 2019 (Show
    Your Work), eqs. 6 to 8. Infinite where a try diverged.

    >>> expected_best([3.0, 1.0])
    [2.0, 1.5]
    """
    ordered, n = sorted(losses), len(losses)
    if math.inf in ordered:
        return [math.inf] * n
    return [
        sum(loss * ((1 - i / n) ** k - (1 - (i + 1) / n) ** k) for i, loss in enumerate(ordered))
        for k in range(1, n + 1)
    ]
