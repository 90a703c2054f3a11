"""Swap task: exchange neighbours, a local reordering."""

from collections.abc import Sequence

from softlookup.task.synthetic import Permutation


class Swap(Permutation):
    """target[2i] = source[2i + 1] and target[2i + 1] = source[2i]; the last of an odd number stays where it is."""

    def order(self, length: int) -> Sequence[int]:
        return [t ^ 1 if t ^ 1 < length else t for t in range(length)]
