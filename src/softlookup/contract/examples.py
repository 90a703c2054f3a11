"""Define examples and batches."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from softlookup.system.transfer import to_device
from softlookup.text.pharaoh import Gold


@dataclass(frozen=True)
class WordLinks:
    """Hold links between the words of a text and its translation: by annotators (gold) and by a statistical aligner
    (silver), None if absent. `source` and `target` give the word index of each token."""

    source: tuple[int, ...]
    target: tuple[int, ...]
    gold: Gold | None
    silver: Gold | None


@dataclass(frozen=True)
class Example:
    """Hold one source and its target, as ids without BOS and EOS.

    `sure[t]` is the set of gold source positions of target position t, `possible[t]` a superset of it (Och & Ney 2003).
    Both are empty tuples if the task has no gold alignment; an empty set means that the target position is aligned to
    no source position. `reference` is the untokenized translation; it is set only for text, and BLEU is measured if it
    is set. `units` is the source length in the task's `length_unit` if that is not tokens; `links` are word links of
    text, if a file provides them; `further` are additional references, for BLEU and chrF.
    """

    source: tuple[int, ...]
    target: tuple[int, ...]
    sure: tuple[frozenset[int], ...] = ()
    possible: tuple[frozenset[int], ...] = ()
    reference: str | None = None
    links: WordLinks | None = None
    units: int | None = None
    further: tuple[str, ...] = ()

    @property
    def length(self) -> int:
        """Return the source length by which results are reported, in the task's `length_unit`."""
        return len(self.source) if self.units is None else self.units


@dataclass(frozen=True)
class Batch:
    """Hold examples as tensors.

    source (B, S) ids that end with EOS, source_mask (B, S) true on real positions; inputs (B, T) ids that begin with
    BOS, target (B, T) ids that end with EOS, target_mask (B, T). Row b is `examples[b]`, which holds the gold
    alignment. places (N,) are the positions b · T + t of the N unpadded target tokens, in ascending order; lengths (B,)
    the numbers of real source positions, which stay on the processor whatever the device of the others. Both are
    computed where the batch is made: on a GPU, selecting by a mask and reading its sum make the processor wait.
    """

    source: Tensor
    source_mask: Tensor
    inputs: Tensor
    target: Tensor
    target_mask: Tensor
    examples: tuple[Example, ...]
    places: Tensor
    lengths: Tensor

    @property
    def tokens(self) -> int:
        """Return the number of unpadded target tokens."""
        return len(self.places)

    @property
    def sentences(self) -> int:
        """Return the number of examples; 0 where the target is only padding."""
        return len(self.examples) if self.tokens else 0

    def to(self, device: torch.device) -> Batch:
        """Return the same batch with its tensors on `device`, except `lengths`."""
        moved: dict[str, Any] = {
            name: to_device(value, device)
            for name, value in vars(self).items()
            if isinstance(value, Tensor) and name != "lengths"
        }
        return replace(self, **moved)
