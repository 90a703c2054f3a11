"""Recall task: key–value pairs, then queries."""

import math

from softlookup.contract import Example
from softlookup.errors import UserError
from softlookup.task.synthetic import FIRST, GRID, Strings, Uniform, only


class Recall(Strings):
    """Associative recall with several queries (after MQAR: Arora et al. 2023, 'Zoology', section 3).

    `k3 v1 k7 v4 | k7 k3 k7` has the target `v4 v1 v4`: the value of each queried key. A source of S tokens has
    P = ⌊S / 3⌋ pairs, a separator and S − 1 − 2P queries (P − 1, P or P + 1), so every S ≥ 4 is a length of the task.
    The keys of the pairs are distinct; values and queries are drawn with replacement.

    The value has the sure link; its key and the query have possible ones, since a two-step lookup passes through them.
    Raises UserError for a shortest length below 4, and for fewer keys than the longest test source has pairs.
    """

    def __init__(self, keys: int, values: int, shortest: int, longest: int) -> None:
        pairs = int(longest * max(GRID)) // 3
        if shortest < 4:
            raise UserError(f"task.shortest={shortest}: expected at least 4: a key, its value, the separator, a query")
        if keys < pairs:
            raise UserError(
                f"task.keys={keys}: the longest test source has {pairs} pairs with distinct keys; "
                f"give task.keys={pairs} or a smaller task.longest"
            )
        self.keys = keys
        self.values = values
        self.separator = FIRST + keys + values
        names = [f"v{i}" for i in range(values)]
        super().__init__([*(f"k{i}" for i in range(keys)), *names, "|"], names, shortest, longest)

    def draw(self, uniform: Uniform, length: int) -> tuple[int, ...]:
        pairs = length // 3
        chosen: dict[int, int] = {}
        while len(chosen) < pairs:
            chosen[FIRST + int(uniform() * self.keys)] = FIRST + self.keys + int(uniform() * self.values)
        keys = list(chosen)
        source = [token for pair in chosen.items() for token in pair]
        source.append(self.separator)
        source += [keys[int(uniform() * pairs)] for _ in range(length - 1 - 2 * pairs)]
        return tuple(source)

    def sources(self, length: int) -> float:
        pairs = length // 3
        return math.perm(self.keys, pairs) * self.values**pairs * pairs ** (length - 1 - 2 * pairs)

    def example(self, source: tuple[int, ...]) -> Example:
        end = source.index(self.separator)
        place = {source[s]: s for s in range(0, end, 2)}
        queries = [(place[source[s]], s) for s in range(end + 1, len(source))]
        return Example(
            source,
            tuple([source[key + 1] - self.keys for key, _ in queries]),
            tuple([only(key + 1) for key, _ in queries]),
            tuple([frozenset((key, key + 1, query)) for key, query in queries]),
        )
