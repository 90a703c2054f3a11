"""Define the interface of decoding: from sources to target hypotheses."""

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
    """One target that a search wrote.

    `ids` end with EOS, unless the limit of length came first; PAD and BOS are never among them. `log_probability` is
    Σ_t log p(y_t | y_<t, x) in nats, EOS included; `score` is what the search ranks by. The weights (T, S) are those
    under which each token was written, S the source's own length; None for a fixed context, and where nobody asked.
    """

    ids: list[int]
    log_probability: float
    score: float
    weights: np.ndarray | None


class Search(ABC):
    """A way to write targets of at most ⌊`longest_ratio` · n⌋ + `longest_extra` tokens, and of one at least.

    n counts the real positions of the source, EOS among them. The limit ends models that never stop, and is each
    sentence's own: a hypothesis depends on no other row of the batch.
    """

    group: ClassVar[Group] = Group("search")

    def __init__(self, longest_ratio: Ratio, longest_extra: Extra) -> None:
        self.longest_ratio = longest_ratio
        self.longest_extra = longest_extra

    def limits(self, mask: Tensor) -> Tensor:
        """Return the most tokens that each row of mask (B, S) may be given (B,)."""
        lengths = (self.longest_ratio * mask.sum(1).double()).floor().long() + self.longest_extra
        return lengths.clamp(min=1)

    def check(self, model: Seq2Seq) -> None:  # noqa: B027 - most need nothing of a model
        """Raise UserError for a model that lacks what the search reads. Asked before training, not after it."""

    @abstractmethod
    def __call__(self, model: Seq2Seq, source: Tensor, mask: Tensor, weights: bool = True) -> list[list[Hypothesis]]:
        """source (B, S), mask (B, S) true on real positions → the hypotheses of every row, best first.

        Puts the model into evaluation mode. `weights` says whether hypotheses keep theirs.
        """


def log_normalizer(logits: Tensor, highest: Tensor) -> Tensor:
    """log Σ_v exp(logits) (N, 1) of logits (N, V) whose largest are `highest` (N, 1). The logits are overwritten:
    at V columns a pass that writes elsewhere costs more than the sum."""
    return highest + logits.sub_(highest).exp_().sum(-1, keepdim=True).log_()
