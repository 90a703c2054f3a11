"""Accumulate loss and accuracy of a validation over its batches."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
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
        self._batches: list[tuple[Tensor, Tensor, list[int]]] = []

    def add(self, batch: Batch, logits: Tensor) -> None:
        """Add a batch with the logits (N, V) of its N unpadded target positions. UNK is never right, as in
        `metrics.sequence.right`. Nothing is read from the device before `measured`."""
        target = batch.target.flatten().index_select(0, batch.places)
        right = torch.zeros_like(batch.target_mask).flatten()
        right.index_copy_(0, batch.places, (logits.argmax(-1) == target) & (target != UNK))
        counts = torch.stack([right.view_as(batch.target_mask).sum(1), batch.target_mask.sum(1)], 1)
        self._batches.append(
            (F.cross_entropy(logits, target), counts, [len(example.source) for example in batch.examples])
        )

    def measured(self, processes: Processes) -> tuple[dict[str, float], dict[int, float]]:
        """Return loss and token_accuracy over all ranks, and the accuracy of each source length, shortest first."""
        # In the order of a single process for any number of processes: sums of floats depend on it.
        every = processes.gathered([_read(*batch) for batch in self._batches])
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


def _read(loss: Tensor, counts: Tensor, lengths: list[int]) -> tuple[float, list[_Row]]:
    return loss.item(), [_Row(length, *row) for length, row in zip(lengths, counts.tolist(), strict=True)]


def _accuracy(rows: Sequence[_Row]) -> float:
    """Return the share of right tokens, in float32 as the loss."""
    return float(np.float32(sum(row.right for row in rows)) / np.float32(sum(row.tokens for row in rows)))
