"""Length grows when the present one is mastered."""

from typing import Any

from softlookup.contract import Curriculum, Task
from softlookup.errors import UserError


class Adaptive(Curriculum):
    """Starts at `start` and grows by `growth` whenever validation accuracy at the present length is ≥ `threshold`.

    The present length's accuracy is that of the longest validation length that is not above it. If the threshold
    is never passed, training never sees a longer source: the curve of lengths tells.
    Raises UserError unless growth ≥ 1 and 0 < threshold ≤ 1.
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

    def length(self, progress: float) -> int:  # noqa: ARG002 - mastery counts here, not progress
        return self.present

    def observe(self, progress: float, accuracy: dict[int, float]) -> None:  # noqa: ARG002
        within = [length for length in accuracy if length <= self.present]
        if within and accuracy[max(within)] >= self.threshold:
            self.present = min(self.longest, self.present + self.growth)

    def state_dict(self) -> dict[str, Any]:
        return {"present": self.present}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.present = state["present"]
