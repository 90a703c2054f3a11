"""Format the pairs of a task that are not primary effects. No torch."""

from __future__ import annotations

import pandas as pd

from softlookup.analysis.tables import EffectTable, gain_parts

MOST_PAIRS = 12


def pairs_table(mine: pd.DataFrame, others: pd.DataFrame) -> EffectTable:
    """Return the pairs that are not primary, attention against attention first."""
    known = set(zip(mine["variant"], mine["reference"], strict=True))
    rest = others[[pair not in known for pair in zip(others["variant"], others["reference"], strict=True)]]
    rest = rest.assign(fixed=~rest["reference"].isin(others["variant"]) & ~rest["reference"].isin(mine["variant"]))
    rest = rest.sort_values(["fixed", "difference"], ascending=[True, False])
    lines = [
        [
            f"{pair['variant']} − {pair['reference']}",
            *gain_parts(pair, pair["measure"]),
            f"{pair['p']:.2g}",
            f"{pair['improvement']:.0%}",
        ]
        for pair in rest.head(MOST_PAIRS).to_dict("records")
    ]
    more = len(rest) - MOST_PAIRS
    notes = [f"{more} more pairs: make export writes pairs.csv"] if more > 0 else []
    notes.append("P(better): the probability that a run of the first is better than a run of the second")
    place = mine.iloc[0]
    name = f"other pairs at {place['span']} {place['unit']}, exploratory: p is not corrected"
    columns = ["pair", "difference", "95 %", "bootstrap", "p", "P(better)"]
    if not any(line[3] for line in lines):
        columns, lines = columns[:3] + columns[4:], [line[:3] + line[4:] for line in lines]
    return EffectTable(place["task"], name, columns, lines, notes)
