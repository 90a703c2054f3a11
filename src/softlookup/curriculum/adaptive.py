"""Adaptive curriculum: length grows once validation accuracy at the current length reaches a threshold."""

from typing import Any

from softlookup.contract import Curriculum, Task
from softlookup.errors import UserError


class Adaptive(Curriculum):
    """Start at `start` and grow by `growth` whenever validation accuracy at the current length is ≥ `threshold`.

    The accuracy at the current length is that of the longest validation length up to it. If the threshold is never
    reached, training never sees a longer source; the curve of `curriculum/length` shows it. Raises UserError unless
    growth ≥ 1 and 0 < threshold ≤ 1.
    """

    def __init__(self, task: Task, start: int, growth: int, threshold: float) -> None:
        super().__init__(task)
        if growth < 1:
            raise UserError(f"curriculum.growth={growth}: expected at least 1 token")
        if not 0 < threshold <= 1:
            raise UserError(f"curriculum.threshold={threshold}: expected an accuracy above 0 and up to 1")
        self.growth = growth
        self.threshold = threshold
        self.present = min(self.longest, max(self.shortest, start))

    def length(self, progress: float) -> int:  # noqa: ARG002 - depends on accuracy, not on progress
        return self.present

    def observe(self, progress: float, accuracy: dict[int, float]) -> None:  # noqa: ARG002
        within = [length for length in accuracy if length <= self.present]
        if within and accuracy[max(within)] >= self.threshold:
            self.present = min(self.longest, self.present + self.growth)

    def state_dict(self) -> dict[str, Any]:
        return {"present": self.present}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.present = state["present"]
