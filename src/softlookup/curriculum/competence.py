"""Competence curriculum: length grows with the square root of progress."""

import math

from softlookup.contract import Curriculum, Task
from softlookup.errors import UserError


class Competence(Curriculum):
    """c(p) = min(1, √(p/until · (1 − c₀²) + c₀²)); lengths up to the c(p)-quantile of the training lengths.

    Platanios et al. 2019, eq. 8 (c-sqrt); the difficulty of an example is the cumulative distribution function of its
    source length (eqs. 3 and 4). Raises UserError unless 0 < until ≤ 1 and 0 ≤ c₀ ≤ 1 (`initial`).
    """

    def __init__(self, task: Task, initial: float, until: float) -> None:
        super().__init__(task)
        if not 0 < until <= 1:
            raise UserError(f"curriculum.until={until}: expected a share of the budget above 0 and up to 1")
        if not 0 <= initial <= 1:
            raise UserError(f"curriculum.initial={initial}: expected a competence from 0 to 1")
        self.initial = initial
        self.until = until

    def length(self, progress: float) -> int:
        squared = min(1.0, progress / self.until) * (1 - self.initial**2) + self.initial**2
        return self.task.quantile(min(1.0, math.sqrt(squared)))
