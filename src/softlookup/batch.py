"""Examples to batches: the one way in which a task's examples reach a model."""

from collections.abc import Sequence

import torch

from softlookup.contract import Batch, Example
from softlookup.vocabulary import BOS, EOS, PAD

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
