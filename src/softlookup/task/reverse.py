"""Reverse task: the alignment is the anti-diagonal."""

from collections.abc import Sequence

from softlookup.task.synthetic import Permutation


class Reverse(Permutation):
    """target[t] = source[S - 1 - t]."""

    def order(self, length: int) -> Sequence[int]:
        return range(length - 1, -1, -1)
