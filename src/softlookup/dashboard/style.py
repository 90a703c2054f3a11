"""Assign colours, markers and dashes to variants. No torch.

Attention is drawn with solid lines and filled markers, a fixed context with dashed lines and open markers.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

# Okabe & Ito 2008, distinguishable with colour blindness; without their yellow, which is too faint on white.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
# The same hues on a dark page.
DARK = ("#58B4F0", "#FF9A4D", "#35C99B", "#E8A5CB", "#F0B840", "#8FD0F5", "#F2F2F2")
GLYPHS = {"circle": "●○", "square": "■□", "diamond": "◆◇", "triangle-up": "▲△"}  # filled and open


@dataclass(frozen=True)
class Style:
    """Colour, marker and line style of a variant in all charts."""

    color: str
    symbol: str
    fixed: bool

    @property
    def dark(self) -> str:
        """Return the colour on a dark page."""
        return DARK[COLORS.index(self.color)]

    @property
    def mark(self) -> str:
        """Return plotly's name of the marker."""
        return f"{self.symbol}-open" if self.fixed else self.symbol


Styles = dict[str, Style]


def styles(rows: pd.DataFrame) -> dict[str, Styles]:
    """Return the style of each variant by experiment. A variant keeps its style across experiments unless another
    variant of the same experiment uses it; after 28 variants in one experiment styles repeat."""
    looks = [(color, symbol) for symbol in GLYPHS for color in COLORS]
    known: dict[str, tuple[str, str]] = {}
    found: dict[str, Styles] = {}
    for experiment, cells in rows.groupby("experiment"):
        fixed = cells.groupby("variant")["fixed"].any()
        order = sorted(fixed.index, key=lambda name: (name not in known, not fixed[name], name))
        assigned: list[tuple[str, str]] = []
        for variant in order:
            others = assigned[len(assigned) // len(looks) * len(looks) :]
            free = [look for look in looks if look not in others]
            look = known[variant] if known.get(variant) in free else free[0]
            known.setdefault(variant, look)
            assigned.append(look)
        chosen = dict(zip(order, assigned, strict=True))
        order.sort(key=lambda name: (not fixed[name], name))
        found[str(experiment)] = {name: Style(chosen[name][0], chosen[name][1], bool(fixed[name])) for name in order}
    return found
