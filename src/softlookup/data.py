"""Examples to batches: the one way in which a task's examples reach a model."""

from collections.abc import Iterator, Sequence

import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, IterableDataset

from softlookup.contract import Batch, Curriculum, Example, Task
from softlookup.vocabulary import BOS, EOS, PAD

# Examples are drawn for this many batches at once and sorted by length, which leaves little padding.
POOL = 16
EVALUATION_BATCH = 64


def _pad(rows: Sequence[Sequence[int]]) -> torch.Tensor:
    """Rows of ids to one (B, longest) tensor with PAD behind the shorter ones."""
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[PAD] * (longest - len(row))] for row in rows])


def collate(examples: Sequence[Example]) -> Batch:
    """Examples as one batch. Gold stays with the examples, where the metrics read it."""
    source = _pad([(*example.source, EOS) for example in examples])
    target = _pad([(*example.target, EOS) for example in examples])
    inputs = _pad([(BOS, *example.target) for example in examples])
    return Batch(
        source=source,
        source_mask=source != PAD,
        inputs=inputs,
        target=target,
        target_mask=target != PAD,
        examples=tuple(examples),
    )


def evaluation_batches(examples: Sequence[Example]) -> list[Batch]:
    """All examples, sorted by source length, in batches of 64: every example in exactly one batch."""
    ordered = sorted(examples, key=lambda example: (len(example.source), len(example.target)))
    return [collate(ordered[i : i + EVALUATION_BATCH]) for i in range(0, len(ordered), EVALUATION_BATCH)]


class TrainingStream(IterableDataset):
    """Batches of about `batch_tokens` target tokens (EOS counted, padding not) until `budget` of them were given.

    The curriculum is asked for its limit at the share of the budget that is spent, when a pool of 16 batches is drawn:
    what is shown follows the limit with that delay. The last batch is shorter, so
    that every run with one budget sees the same number of target tokens to within one sentence. All randomness
    comes from `seed`: what is drawn depends on no model.
    """

    def __init__(self, task: Task, curriculum: Curriculum, seed: int, budget: int, batch_tokens: int) -> None:
        self.task = task
        self.curriculum = curriculum
        self.seed = seed
        self.budget = budget
        self.batch_tokens = batch_tokens

    def __iter__(self) -> Iterator[Batch]:
        given = 0
        generator = np.random.default_rng(self.seed)
        examples = self.task.training(generator, lambda: self.curriculum.length(given / self.budget))
        while given < self.budget:
            pool, drawn = [], 0
            while drawn < min(POOL * self.batch_tokens, self.budget - given):
                pool.append(next(examples))
                drawn += len(pool[-1].target) + 1
            batches = self._cut(pool)
            generator.shuffle(batches)
            for batch in batches:
                given += sum(len(example.target) + 1 for example in batch)
                yield collate(batch)

    def _cut(self, pool: list[Example]) -> list[list[Example]]:
        """Sorted by length and cut where a batch is full."""
        batches: list[list[Example]] = []
        tokens = self.batch_tokens
        # By target length first: a decoder steps through padding, a packed encoder does not.
        for example in sorted(pool, key=lambda example: (len(example.target), len(example.source))):
            if tokens >= self.batch_tokens:
                batches.append([])
                tokens = 0
            batches[-1].append(example)
            tokens += len(example.target) + 1
        return batches


class Data(pl.LightningDataModule):
    """The one data module: an endless task cut to a budget, and its fixed validation set."""

    def __init__(self, stream: TrainingStream) -> None:
        super().__init__()
        self.stream = stream
        self.validation = evaluation_batches(stream.task.validation())

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:  # noqa: ARG002
        return batch.to(device)

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.stream, batch_size=None)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.validation, batch_size=None)  # type: ignore[arg-type]
