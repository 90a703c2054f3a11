"""Check the rate and the clipping threshold of an optimizer."""

import math

from softlookup.errors import UserError


def check_limits(rate: float, clip: float | None) -> None:
    """Raise UserError for a learning rate or a clipping norm that is not a positive number."""
    if not (0 < rate < math.inf and (clip is None or clip > 0)):
        raise UserError(f"optimizer.rate={rate}, optimizer.clip={clip}: expected numbers above zero")
