"""Linear curriculum: length grows in proportion to progress."""

from softlookup.contract import Curriculum, Task
from softlookup.errors import UserError


class Linear(Curriculum):
    """length(p) = shortest + (longest − shortest) · min(1, p / until).

    `until` is the share of the budget at which all lengths are included. Raises UserError unless 0 < until ≤ 1.
    """

    def __init__(self, task: Task, until: float) -> None:
        super().__init__(task)
        if not 0 < until <= 1:
            raise UserError(f"curriculum.until={until}: expected a share of the budget above 0 and up to 1")
        self.until = until

    def length(self, progress: float) -> int:
        return self.shortest + int((self.longest - self.shortest) * min(1.0, progress / self.until))
