"""Price one part at every length: predict, measure where that is quick, extrapolate loops, and fit exponents."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from softlookup.contract import Attention, Score
from softlookup.pricing.law import Exponent, exponent, extrapolated, longer_half, stated
from softlookup.pricing.parts import Part
from softlookup.pricing.trace import Measurement, Prediction

TRACED = (8, 16, 32, 64, 128, 256)  # lengths of a loop that are traced; powers of two, since kernels round their sizes
LEAST = 3  # lengths that are measured whatever their time, for an exponent
FIGURES = ("peak_bytes", "flops", "forward_flops", "backward_flops", "state_bytes")
EXPONENTS = {"time": "seconds", "memory": "peak_bytes", "FLOPs": "flops", "state": "state_bytes"}


@dataclass(frozen=True)
class Priced:
    """Hold the price of one part: a row for each length, exponents, what its docstring states, and what is to be said.

    A row has `length`; `basis`, traced or extrapolated; the predicted figures; `measured_` figures and `seconds` where
    it was measured, else None.
    """

    group: str
    choice: str
    rows: list[dict[str, Any]]
    exponents: dict[str, Exponent | None]
    stated: dict[str, str]
    notes: list[str]

    @property
    def checked(self) -> tuple[int, int]:
        """Return at how many lengths the predicted peak is the measured one, and how many were measured."""
        measured = [row for row in self.rows if row["measured_peak_bytes"] is not None]
        return sum(row["peak_bytes"] == row["measured_peak_bytes"] for row in measured), len(measured)


def priced(
    part: Part, lengths: Sequence[int], seconds: float, most_bytes: float, progress: Callable[[str], None]
) -> Priced:
    """Price a part at lengths in ascending order. It is measured at the first three, and up to the length whose pass is
    expected to take more than `seconds`; at none whose peak is predicted to be over `most_bytes`.

    Where the number of operators grows with the length, as in a recurrent loop, short lengths are traced, and a law
    through them gives the others: only if it gives what was measured, to the byte and to the operation.
    """
    prediction, measurement = Prediction(part), Measurement(part)
    first, second = (prediction.at(n) for n in TRACED[:2])
    loops = first["operators"] != second["operators"]
    rows: list[dict[str, Any]] = []
    for length in lengths:
        progress(f"{length:,}")
        found = dict.fromkeys(FIGURES) if loops else prediction.at(length)
        figures = {name: found[name] for name in FIGURES}
        rows.append({"length": length, "basis": "extrapolated" if loops else "traced", **figures})
    _measure(measurement, rows, seconds, most_bytes, progress)
    notes = []
    if loops:
        notes += _extrapolate(measurement, rows, {TRACED[0]: first, TRACED[1]: second})
    wrong = [row["length"] for row in rows if _differs(row)]
    if wrong and not loops:
        notes.append(f"predicted and measured differ at {', '.join(f'{n:,}' for n in wrong)}")
    points = {name: {row["length"]: row[figure] for row in rows} for name, figure in EXPONENTS.items()}
    exponents = {name: exponent(longer_half(found)) for name, found in points.items()}
    says = statement(prediction.module) if part.group == "attention" else {}
    return Priced(part.group, part.choice, rows, exponents, says, notes)


def _extrapolate(measurement: Measurement, rows: list[dict[str, Any]], traced: dict[int, dict[str, Any]]) -> list[str]:
    """Fill the predicted figures of a loop by the first law, through the shortest lengths, that gives what was
    measured; leave them absent where there is none. Return what is to be said.

    A law is a polynomial in the length, of degree one through two lengths or two through three. The peak is the maximum
    over all operators of the bytes after each of them, since different ones have it at different lengths.
    """
    known = dict(traced)
    for last in range(1, len(TRACED)):
        if TRACED[last] not in known:
            known[TRACED[last]] = measurement.counted(TRACED[last])
        for count in (2, 3):
            through = {n: known[n] for n in TRACED[max(0, last + 1 - count) : last + 1]}
            found = [row | _law(through, row["length"]) for row in rows]
            beyond = [row for row in found if row["seconds"] is not None and row["length"] > TRACED[last]]
            if beyond and not any(_differs(row) for row in found):
                for row, one in zip(rows, found, strict=True):
                    row.update(one)
                lengths = ", ".join(map(str, through))
                checked = ", ".join(f"{row['length']:,}" for row in beyond)
                return [f"extrapolated from {lengths}, checked at {checked}"]
    return ["no law through its traced lengths gives what was measured: not extrapolated"]


def _law(through: dict[int, dict[str, Any]], length: int) -> dict[str, Any]:
    """Return the figures at a length by the polynomials through others."""
    figures = {name: extrapolated({n: row[name] for n, row in through.items()}, length) for name in FIGURES}
    operators = set.intersection(*(set(row["after"]) for row in through.values()))
    peaks = [extrapolated({n: row["after"][name] for n, row in through.items()}, length) for name in operators]
    whole = [peak for peak in peaks if peak is not None]
    return figures | {"peak_bytes": max(whole) if len(whole) == len(peaks) else None}


def _measure(
    measurement: Measurement,
    rows: list[dict[str, Any]],
    seconds: float,
    most_bytes: float,
    progress: Callable[[str], None],
) -> None:
    going = True
    for place, row in enumerate(rows, 1):
        row.update({f"measured_{name}": None for name in FIGURES} | {"seconds": None})
        if not going or (row["peak_bytes"] or 0) > most_bytes:
            continue
        progress(f"{row['length']:,}, measured")
        began = time.perf_counter()
        found = measurement.at(row["length"])
        row.update({f"measured_{name}": found[name] for name in FIGURES} | {"seconds": found["seconds"]})
        quick = 4 * found["seconds"] < seconds and time.perf_counter() - began < 4 * seconds
        going = quick or place < LEAST


def _differs(row: dict[str, Any]) -> bool:
    return row["seconds"] is not None and any(row[name] != row[f"measured_{name}"] for name in FIGURES)


def statement(module: nn.Module) -> dict[str, str]:
    """Return what the docstring of a module's score, or of its attention if it has none, states of its cost."""
    scores = [each for each in module.modules() if isinstance(each, Score)]
    reads = [each for each in module.modules() if isinstance(each, Attention)]
    return stated(type((scores or reads)[0]).__doc__) if scores or reads else {}
