"""Collate examples into batches."""

from collections.abc import Sequence
from itertools import chain

import numpy as np
import torch

from softlookup.contract import Batch, Example
from softlookup.text.vocabulary import BOS, EOS, PAD

EVALUATION_BATCH = 64
# Upper bound of rows · longest side², as for 64 rows of 79 tokens; a hidden layer of width 128 per pair of positions
# then takes 205 MB.
EVALUATION_BOUND = 400_000


def _pad(rows: Sequence[tuple[int, ...]]) -> torch.Tensor:
    """Pad rows of ids to one (B, longest) tensor."""
    longest = max(map(len, rows))
    # Reading one flat sequence takes a fifth of the time of nested ones.
    ids = chain.from_iterable([row + (PAD,) * (longest - len(row)) for row in rows])
    return torch.from_numpy(np.fromiter(ids, np.int64, len(rows) * longest).reshape(len(rows), longest))


def collate(examples: Sequence[Example]) -> Batch:
    """Collate examples into one batch. Gold stays with the examples, where the metrics read it."""
    source = _pad([(*example.source, EOS) for example in examples])
    target = _pad([(*example.target, EOS) for example in examples])
    target_mask = target != PAD
    inputs = _pad([(BOS, *example.target) for example in examples])
    return Batch(
        source=source,
        source_mask=source != PAD,
        inputs=inputs,
        target=target,
        target_mask=target_mask,
        examples=tuple(examples),
        places=target_mask.flatten().nonzero().squeeze(1),
        lengths=torch.tensor([len(example.source) + 1 for example in examples]),
    )


def evaluation_batches(examples: Sequence[Example]) -> list[Batch]:
    """Return all examples, sorted by source length, in batches of up to 64 rows (`packed`)."""
    sizes = [(len(example.source), len(example.target)) for example in examples]
    return [collate([examples[place] for place in places]) for places in packed(sizes, EVALUATION_BATCH)]


def packed(sizes: Sequence[tuple[int, int]], most: int) -> list[list[int]]:
    """Partition examples with these numbers of source and target tokens into batches of up to `most` indices, sorted by
    size.

    A batch has fewer rows where rows · longest² would exceed `EVALUATION_BOUND`, longest being the length of its padded
    source or target, whichever is longer: attention and self-attention take memory quadratic in length. A single
    example may exceed the bound.
    """
    batches: list[list[int]] = []
    longest = 0
    for place in sorted(range(len(sizes)), key=sizes.__getitem__):
        longest = max(longest, *(size + 1 for size in sizes[place]))
        rows = len(batches[-1]) + 1 if batches else 0
        if not 0 < rows <= most or rows * longest**2 > EVALUATION_BOUND:
            batches.append([])
            longest = max(sizes[place]) + 1
        batches[-1].append(place)
    return batches
