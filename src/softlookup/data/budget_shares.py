"""Divide a budget into equal shares; training is validated at the end of each."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Cadence:
    """Validation points: the ends ⌈k · budget / count⌉, k = 1 … `count`, of equal shares of `budget` target tokens."""

    budget: int
    count: int

    def passed(self, tokens: int) -> int:
        """Return the number of share ends at or before `tokens`."""
        return min(self.count, tokens * self.count // self.budget)
