"""Distribute the runs of a sweep over the cores or the GPUs of this machine. No torch."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence

from softlookup.errors import UserError


def cores(threads: int) -> int:
    """Return the number of runs with this many threads each that fit the cores available to this process."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, allowed // threads)


class Devices:
    """Places for runs: on each of the GPUs `names` `per_gpu` processes, or without GPUs one run per `threads` cores.

    A run of several `processes` takes a place on as many different GPUs.
    """

    def __init__(self, names: Sequence[str], per_gpu: int, processes: int, threads: int) -> None:
        self.names = list(names)
        self._per_gpu, self._processes = per_gpu, processes
        self.room = (len(names) * per_gpu // processes or 1) if names else cores(threads)
        self._held: Counter[str] = Counter()

    def workers(self, given: int | None) -> int:
        """Return the number of runs at a time: as `given`, or all places. Raises UserError for more runs than the GPUs
        have places: each process of a run may use an equal share of its GPU's memory."""
        if given is None:
            return self.room
        if self.names and given > self.room:
            needed = -(-given * self._processes // len(self.names))
            raise UserError(
                f"workers={given}: {len(self.names)} GPUs with workers_per_gpu={self._per_gpu} have room for "
                f"{self.room} runs at a time; set workers={self.room}, or workers_per_gpu={needed}, which gives each "
                f"run 1/{needed} of a GPU's memory"
            )
        return given

    def take(self) -> list[str]:
        """Return the GPUs of the next run, those with the fewest processes; none without GPUs."""
        taken = sorted(self.names, key=self._held.__getitem__)[: self._processes]
        self._held.update(taken)
        return taken

    def give_back(self, taken: Sequence[str]) -> None:
        """Free the places of a run that has ended."""
        self._held.subtract(taken)
