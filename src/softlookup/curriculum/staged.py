"""Staged curriculum: length grows in a few steps."""

from softlookup.contract import Curriculum, Task
from softlookup.errors import UserError


class Staged(Curriculum):
    """`stages` steps of equal height and equal budget up to `until`, then the longest length.

    length(p) = shortest + (longest − shortest) · (1 + ⌊stages · p / until⌋) / (stages + 1), at most longest.
    Raises UserError unless stages ≥ 1 and 0 < until ≤ 1, and where there are fewer lengths than steps.
    """

    def __init__(self, task: Task, stages: int, until: float) -> None:
        super().__init__(task)
        if stages < 1:
            raise UserError(f"curriculum.stages={stages}: expected at least 1")
        if 0 < self.longest - self.shortest < stages:
            raise UserError(
                f"curriculum.stages={stages}: source lengths from {self.shortest} to {self.longest} have room for "
                f"{self.longest - self.shortest} steps"
            )
        if not 0 < until <= 1:
            raise UserError(f"curriculum.until={until}: expected a share of the budget above 0 and up to 1")
        self.stages = stages
        self.until = until

    def length(self, progress: float) -> int:
        reached = min(self.stages + 1, 1 + int(self.stages * progress / self.until))
        return self.shortest + (self.longest - self.shortest) * reached // (self.stages + 1)
