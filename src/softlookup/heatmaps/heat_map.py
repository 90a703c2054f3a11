"""Define what a heat map is, for all drawers. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np


class HeatMap(Protocol):
    """A heat map to draw: weights (T, S), gold (T, S) booleans, S source and T target tokens."""

    @property
    def weights(self) -> np.ndarray: ...

    @property
    def gold(self) -> np.ndarray: ...

    @property
    def source(self) -> Sequence[str]: ...

    @property
    def target(self) -> Sequence[str]: ...


def shape_of(heat_map: HeatMap) -> tuple[int, int]:
    """Return (T, S). Raises ValueError when shapes and tokens disagree."""
    shape = (len(heat_map.target), len(heat_map.source))
    if not heat_map.weights.shape == heat_map.gold.shape == shape:
        raise ValueError(
            f"got weights {heat_map.weights.shape} and gold {heat_map.gold.shape} for {shape[0]} target and {shape[1]} "
            "source tokens"
        )
    return shape
