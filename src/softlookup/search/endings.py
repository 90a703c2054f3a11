"""Collect finished hypotheses, and trace them back from their last token."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from softlookup.search.search import Hypothesis


@dataclass(frozen=True)
class Step:
    """One step of a search: attention weights (N, S) of the N hypotheses before it, or None; and for every hypothesis
    that is still open after it, the row that it continues and its new token."""

    weights: np.ndarray | None
    parents: list[int]
    tokens: list[int]


class Ended(NamedTuple):
    """An ended hypothesis: its scores, the step at which it ended, the row that it continued, and its last token."""

    score: float
    log_probability: float
    step: int
    row: int
    token: int


class Endings:
    """The n best ended hypotheses of every sentence; `worst` (B,) is the score of the n_best-th, −∞ while there are
    fewer."""

    def __init__(self, sentences: int, n_best: int, device: torch.device) -> None:
        self.n_best = n_best
        self.worst = torch.full((sentences,), -torch.inf, dtype=torch.float64, device=device)
        self.steps: list[Step] = []
        self._ended: list[list[Ended]] = [[] for _ in range(sentences)]

    def add(self, sentence: Tensor, score: Tensor, log_probability: Tensor, row: Tensor, token: Tensor) -> None:
        """Add the hypotheses that end at the current step; all arguments are (N,)."""
        columns = (column.tolist() for column in (sentence, score, log_probability, row, token))
        for b, one_score, log_p, parent, last in zip(*columns, strict=True):
            ended = self._ended[b]
            ended.append(Ended(one_score, log_p, len(self.steps), parent, last))
            ended.sort(key=lambda each: -each.score)  # stable: of equal scores the earlier comes first
            del ended[self.n_best :]
            if len(ended) == self.n_best:
                self.worst[b] = ended[-1].score

    def hypotheses(self, lengths: list[int]) -> list[list[Hypothesis]]:
        """Return the hypotheses of every sentence, best first; `lengths` are the lengths of the sources.

        Raises FloatingPointError where a sentence has none, because the logits were NaN.
        """
        if not all(self._ended):
            raise FloatingPointError("the model's logits are not numbers: there is no most probable hypothesis")
        return [[self._read(each, n) for each in ended] for ended, n in zip(self._ended, lengths, strict=True)]

    def _read(self, ended: Ended, length: int) -> Hypothesis:
        ids, path = [ended.token], [ended.row]
        for step in reversed(self.steps[: ended.step]):
            ids.append(step.tokens[path[-1]])
            path.append(step.parents[path[-1]])
        steps = zip(self.steps, reversed(path), strict=False)  # up to its end; the search may have gone on
        weights = [step.weights[row, :length] for step, row in steps if step.weights is not None]
        return Hypothesis(ids[::-1], ended.log_probability, ended.score, np.stack(weights) if weights else None)
