"""Divide a budget into the shares at whose ends training is validated."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Cadence:
    """The ends of `count` equal shares of `budget` target tokens, the last of them its end: ⌈k · budget / count⌉ tokens
    for k = 1 … count."""

    budget: int
    count: int

    def passed(self, tokens: int) -> int:
        """Count the ends that lie at or before so many tokens."""
        return min(self.count, tokens * self.count // self.budget)
