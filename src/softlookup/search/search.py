"""Define the search interface: decode sources into target hypotheses."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from torch import Tensor

from softlookup.group import Group
from softlookup.model.seq2seq import Seq2Seq
from softlookup.ranges import Range

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


def log_normalizer(logits: Tensor, highest: Tensor) -> Tensor:
    """Return log Σ_v exp(logits) (N, 1) for logits (N, V) with row maxima `highest` (N, 1).

    The logits are overwritten: allocating another (N, V) tensor would cost more than the sum.
    """
    return highest + logits.sub_(highest).exp_().sum(-1, keepdim=True).log_()
