"""Define the search interface: decode sources into target hypotheses."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import torch
from torch import Tensor

from softlookup.group import Group
from softlookup.model.seq2seq import Seq2Seq
from softlookup.ranges import Range

# Ids in a block of `highest`: wide enough for vector instructions, few enough for several blocks in a vocabulary.
BLOCK = 64
LOG2_E = math.log2(math.e)

Ratio = Annotated[float, Range(0, 1000)]
Extra = Annotated[int, Range(0, 65_536)]


@dataclass(frozen=True)
class Hypothesis:
    """One decoded target.

    `ids` end with EOS, unless the length limit came first, and never contain PAD or BOS. `log_probability` is
    Σ_t log p(y_t | y_<t, x) in nats, EOS included; the search ranks by `score`. `weights` (T, S) are the attention
    weights of each step, S the unpadded source length; None for a fixed context, and if not requested.
    """

    ids: list[int]
    log_probability: float
    score: float
    weights: np.ndarray | None


class Search(ABC):
    """Decode targets of at least one and at most ⌊`longest_ratio` · n⌋ + `longest_extra` tokens.

    n is the number of real source positions, including EOS. The limit stops models that never write EOS. It is computed
    per sentence, so that a hypothesis depends on no other row of the batch.
    """

    group: ClassVar[Group] = Group("search")

    def __init__(self, longest_ratio: Ratio, longest_extra: Extra) -> None:
        self.longest_ratio = longest_ratio
        self.longest_extra = longest_extra

    def limits(self, mask: Tensor) -> Tensor:
        """Return the length limit (B,) of each row of mask (B, S)."""
        lengths = (self.longest_ratio * mask.sum(1).double()).floor().long() + self.longest_extra
        return lengths.clamp(min=1)

    def check(self, model: Seq2Seq) -> None:  # noqa: B027 - most searches work with any model
        """Raise UserError for a model that lacks what the search needs. Called before training, not after it."""

    @abstractmethod
    def __call__(self, model: Seq2Seq, source: Tensor, mask: Tensor, weights: bool = True) -> list[list[Hypothesis]]:
        """Decode source (B, S), mask (B, S) true on real positions; return the hypotheses of every row, best first.

        Puts the model into evaluation mode. `weights` says whether hypotheses keep their attention weights; without
        them a step may be computed by other kernels, whose rounding differs.
        """


def highest(logits: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the `count` highest of logits (N, V) in each row, highest first, and their ids, both (N, count).

    They lie in the `count` blocks of ids with the highest maxima: comparing only these takes half the time of `topk` on
    a CPU, which sorts parts of the whole row.
    """
    rows, vocabulary = logits.shape
    blocks = vocabulary // BLOCK
    if logits.device.type != "cpu" or blocks <= count:
        values, ids = logits.topk(count)
        return values, ids
    inside = blocks * BLOCK
    divided = logits[:, :inside].unflatten(1, (blocks, BLOCK))
    which = divided.amax(-1).topk(count).indices
    near = divided[torch.arange(rows).unsqueeze(1), which].flatten(1)
    ids = (which.unsqueeze(-1) * BLOCK + torch.arange(BLOCK)).flatten(1)
    if inside < vocabulary:  # the ids after the last whole block
        near = torch.cat([near, logits[:, inside:]], 1)
        ids = torch.cat([ids, torch.arange(inside, vocabulary).expand(rows, -1)], 1)
    values, places = near.topk(count)
    return values, ids.gather(1, places)


def log_normalizer(logits: Tensor, maxima: Tensor) -> Tensor:
    """Return log Σ_v exp(logits) (N, 1) for logits (N, V) with row maxima (N, 1).

    The logits are overwritten: allocating another (N, V) tensor would cost more than the sum. Powers of two take less
    time than those of e.
    """
    return maxima + logits.sub_(maxima).mul_(LOG2_E).exp2_().sum(-1, keepdim=True).log_()
