"""Collect finished hypotheses, and read them backwards from their last token."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from softlookup.search.search import Hypothesis


@dataclass(frozen=True)
class Step:
    """One step of a search: the weights (N, S) of its N rows or None, and for every hypothesis that stayed open after
    it the row that it continued and its new token."""

    weights: np.ndarray | None
    parents: list[int]
    tokens: list[int]


class Ended(NamedTuple):
    """A hypothesis that ended: when, which row it continued, and with which token."""

    score: float
    log_probability: float
    step: int
    row: int
    token: int


class Endings:
    """The ended hypotheses of every sentence; `worst` (B,) is the score of the n_best-th, −∞ while there are fewer."""

    def __init__(self, sentences: int, n_best: int, device: torch.device) -> None:
        self.n_best = n_best
        self.worst = torch.full((sentences,), -torch.inf, dtype=torch.float64, device=device)
        self.steps: list[Step] = []
        self._ended: list[list[Ended]] = [[] for _ in range(sentences)]

    def add(self, sentence: Tensor, score: Tensor, log_probability: Tensor, row: Tensor, token: Tensor) -> None:
        """Hypotheses that end at the present step, all (N,)."""
        columns = (column.tolist() for column in (sentence, score, log_probability, row, token))
        for b, own_score, own, parent, last in zip(*columns, strict=True):
            ended = self._ended[b]
            ended.append(Ended(own_score, own, len(self.steps), parent, last))
            ended.sort(key=lambda each: -each.score)  # stable: of equal scores the earlier stands first
            del ended[self.n_best :]
            if len(ended) == self.n_best:
                self.worst[b] = ended[-1].score

    def hypotheses(self, lengths: list[int]) -> list[list[Hypothesis]]:
        """Those of every sentence, best first; `lengths` are the sources' own.

        Raises FloatingPointError where a sentence has none: of what is not a number nothing is the most probable.
        """
        if not all(self._ended):
            raise FloatingPointError("the model's logits are not numbers: there is no most probable hypothesis")
        return [[self._read(each, n) for each in own] for own, n in zip(self._ended, lengths, strict=True)]

    def _read(self, ended: Ended, length: int) -> Hypothesis:
        ids, path = [ended.token], [ended.row]
        for step in reversed(self.steps[: ended.step]):
            ids.append(step.tokens[path[-1]])
            path.append(step.parents[path[-1]])
        taken = zip(self.steps, reversed(path), strict=False)  # steps after its end are not its own
        weights = [step.weights[row, :length] for step, row in taken if step.weights is not None]
        return Hypothesis(ids[::-1], ended.log_probability, ended.score, np.stack(weights) if weights else None)
