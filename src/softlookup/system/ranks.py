"""Exchange values among the ranks of a distributed run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist

Item = TypeVar("Item")


@dataclass(frozen=True)
class Processes:
    """`count` processes, of which this is number `rank`. With one, everything is its own and nothing is sent."""

    rank: int = 0
    count: int = 1

    def share(self, items: Sequence[Item]) -> list[Item]:
        """This process's own items: every `count`-th, so that no item is anybody else's too."""
        return list(items[self.rank :: self.count])

    def gathered(self, own: Sequence[Item]) -> list[Item]:
        """Return the items of all processes in the order that `share` took them from; the same list in every
        process."""
        if self.count == 1:
            return list(own)
        shares: list[list[Item]] = [[] for _ in range(self.count)]
        dist.all_gather_object(shares, list(own))
        return [share[i] for i in range(max(map(len, shares))) for share in shares if i < len(share)]

    def total(self, *numbers: float, device: torch.device) -> list[float]:
        """Return the sum of each number over all processes."""
        if self.count == 1:
            return list(numbers)
        summed = torch.tensor(numbers, dtype=torch.float64, device=device)
        dist.all_reduce(summed)
        return summed.tolist()


ALONE = Processes()
