"""Copy task: the alignment is the diagonal."""

from collections.abc import Sequence

from softlookup.task.synthetic import Permutation


class Copy(Permutation):
    """target[t] = source[t]."""

    def order(self, length: int) -> Sequence[int]:
        return range(length)
