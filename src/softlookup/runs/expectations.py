"""Validate values read from files: raise `BrokenError` with the place and the expected value. No torch."""

from collections.abc import Sequence
from typing import Any

# Larger than any measurement; the sum of a thousand squares is still finite.
LARGEST = 1e100
_MOST_VALUES = 10_000  # in a config; YAML aliases can make a few lines expand to billions


class BrokenError(Exception):
    """Report an invalid file: its name, the place in it, and what was expected there."""


def bounded(value: Any) -> bool:
    """Return whether nested dicts and lists hold few enough values to check all of them."""
    waiting, seen = [value], 0
    while waiting and seen <= _MOST_VALUES:
        inside = waiting.pop()
        seen += 1
        if isinstance(inside, dict | list):
            waiting += list(inside.values() if isinstance(inside, dict) else inside)[: _MOST_VALUES + 1]
    return not waiting


def mapping(value: Any, where: str) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise BrokenError(f"{where} not a mapping")
    return value


def expect(holds: bool, where: str, expected: str) -> None:
    if not holds:
        raise BrokenError(f"{where} is not {expected}")


def number(value: Any) -> bool:
    """Return whether a value is a finite number and not a boolean; JSON integers may have any size."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST


def number_or_none(value: Any) -> bool:
    return value is None or number(value)


def measures(rows: Any, where: str, keys: Sequence[str], unique: Sequence[str]) -> None:
    """Check a list of measures by name: numbers or null, with numbers under `keys`, and one row for each value of
    `unique`."""
    expect(isinstance(rows, list), where, "a list")
    for place, row in enumerate(rows):
        here = f"{where}[{place}]"
        expect(all(number(mapping(row, f"{here} is").get(key)) for key in keys), here, f"with {', '.join(keys)}")
        expect(all(isinstance(row.get(key), str | int | float) for key in unique), here, f"with {', '.join(unique)}")
        wrong = next((name for name, value in row.items() if name not in unique and not number_or_none(value)), None)
        expect(wrong is None, f"{here}.{wrong}", "a number or null")
    different = {tuple(row[key] for key in unique) for row in rows}
    expect(len(different) == len(rows), where, f"of different {', '.join(unique)}")
