"""Check values that were read from a file: raise `BrokenError` with the place and what was expected. No torch."""

from typing import Any

# Beyond any measurement, and the sum of a thousand squares of it is still a number.
LARGEST = 1e100
_MOST_VALUES = 10_000  # of a config; a few lines of YAML can stand for billions


class BrokenError(Exception):
    """A file that is not what it should be: its name, the place in it, and what was expected there."""


def bounded(value: Any) -> bool:
    """Return whether nested dicts and lists hold so few values that all of them can be looked at."""
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
    """Neither NaN nor infinite nor a boolean; whole numbers may be of any size in JSON."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST


def number_or_none(value: Any) -> bool:
    return value is None or number(value)
