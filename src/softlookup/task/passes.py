"""Iterate over encoded examples in endless passes."""

from collections.abc import Callable
from typing import Any

import numpy as np

from softlookup.contract import Example, Examples
from softlookup.errors import UserError
from softlookup.task.encoded import Encoded


class Passes(Examples):
    """Endless passes over examples, each in a random order.

    The state is that of the generator before the current pass, and the position in the pass. Only the order of a pass
    is in memory (8 bytes per example), not the examples.
    """

    def __init__(
        self, examples: Encoded, shortest: int, generator: np.random.Generator, limit: Callable[[], int]
    ) -> None:
        self._examples = examples
        self._shortest = shortest
        self._generator = generator
        self._limit = limit
        self._before: dict[str, Any] | None = None
        self._order = np.empty(0, np.int64)
        self._at = 0

    def __next__(self) -> Example:
        self._at = self._turn()
        if self._at == len(self._order):
            self._start_pass()
            self._at = self._turn()
        self._at += 1
        return self._examples[int(self._order[self._at - 1])]

    def between_passes(self) -> bool:
        return self._turn() == len(self._order)

    def _turn(self) -> int:
        """Return the position of the next example that is short enough, or the end of the pass.

        The position is advanced only when an example is requested: the limit may have grown by then.
        """
        limit = self._limit()
        at = self._at
        while at < len(self._order) and self._examples.source_length(int(self._order[at])) > limit:
            at += 1
        return at

    def _start_pass(self) -> None:
        if self._limit() < self._shortest:
            raise UserError(
                f"the curriculum allows {self._limit()} source tokens, and the shortest training sentence has "
                f"{self._shortest}; start the curriculum there"
            )
        self._before = dict(self._generator.bit_generator.state)
        self._order = self._generator.permutation(len(self._examples))
        self._at = 0

    def state_dict(self) -> dict[str, Any]:
        return {"before": self._before, "at": self._at}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._before, self._at = state["before"], state["at"]
        if self._before is not None:
            again = np.random.default_rng()
            again.bit_generator.state = self._before
            self._order = again.permutation(len(self._examples))
