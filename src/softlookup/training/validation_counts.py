"""Accumulate loss and accuracy of a validation over its batches."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import MeanMetric

from softlookup.contract import Batch
from softlookup.system.ranks import Processes
from softlookup.text.vocabulary import UNK


class _Row(NamedTuple):
    """A sentence: its source length, how many of its target tokens are right, and how many it has."""

    length: int
    right: int
    tokens: int


class Counts:
    """Accumulate the batches of one validation on this rank, and measure those of all ranks."""

    def __init__(self) -> None:
        self._batches: list[tuple[float, list[_Row]]] = []

    def add(self, batch: Batch, logits: Tensor) -> None:
        """Add a batch with the logits (N, V) of its N unpadded target positions. UNK is never right, as in
        `metrics.sequence.right`."""
        target = batch.target[batch.target_mask]
        right = batch.target_mask.clone()
        right[batch.target_mask] = (logits.argmax(-1) == target) & (target != UNK)
        lengths = [len(example.source) for example in batch.examples]
        counts = zip(lengths, right.sum(1).tolist(), batch.target_mask.sum(1).tolist(), strict=True)
        self._batches.append((F.cross_entropy(logits, target).item(), [_Row(*count) for count in counts]))

    def measured(self, processes: Processes) -> tuple[dict[str, float], dict[int, float]]:
        """Return loss and token_accuracy over all ranks, and the accuracy of each source length, shortest first."""
        # In the order of a single process for any number of processes: sums of floats depend on it.
        every = processes.gathered(self._batches)
        loss = MeanMetric(sync_on_compute=False)
        by_length: dict[int, list[_Row]] = {}
        for mean, rows in every:
            loss.update(mean, sum(row.tokens for row in rows))
            for row in rows:
                by_length.setdefault(row.length, []).append(row)
        accuracy = _accuracy([row for rows in by_length.values() for row in rows])
        # Rounded, since a float32 mean of 0.9 can be slightly below a threshold of 0.9.
        lengths = {length: round(_accuracy(rows), 6) for length, rows in sorted(by_length.items())}
        return {"loss": loss.compute().item(), "token_accuracy": accuracy}, lengths


def _accuracy(rows: Sequence[_Row]) -> float:
    """Return the share of right tokens, in float32 as the loss."""
    return float(np.float32(sum(row.right for row in rows)) / np.float32(sum(row.tokens for row in rows)))
