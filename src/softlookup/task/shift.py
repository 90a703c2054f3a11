"""Shift task: rotate the source."""

from collections.abc import Sequence

from softlookup.task.synthetic import Permutation


class Shift(Permutation):
    """target[t] = source[(t + by) mod S]. A negative `by` rotates in the other direction."""

    def __init__(self, symbols: int, shortest: int, longest: int, by: int) -> None:
        self.by = by
        super().__init__(symbols, shortest, longest)

    def order(self, length: int) -> Sequence[int]:
        return [(t + self.by) % length for t in range(length)]
