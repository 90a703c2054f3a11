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
    """The rank of this process among `count` ranks. With one rank, nothing is communicated."""

    rank: int = 0
    count: int = 1

    def share(self, items: Sequence[Item]) -> list[Item]:
        """Return this rank's items: every `count`-th one, starting at `rank`."""
        return list(items[self.rank :: self.count])

    def gathered(self, items: Sequence[Item]) -> list[Item]:
        """Gather the items of all ranks in the order from which `share` selected them; the same list on every rank."""
        if self.count == 1:
            return list(items)
        shares: list[list[Item]] = [[] for _ in range(self.count)]
        dist.all_gather_object(shares, list(items))
        return [share[i] for i in range(max(map(len, shares))) for share in shares if i < len(share)]

    def total(self, *numbers: float, device: torch.device) -> list[float]:
        """Return the sum of each number over all ranks."""
        if self.count == 1:
            return list(numbers)
        summed = torch.tensor(numbers, dtype=torch.float64, device=device)
        dist.all_reduce(summed)
        return summed.tolist()


ALONE = Processes()
