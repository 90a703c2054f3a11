"""Validate values read from files: raise `BrokenError` with the place and the expected value. No torch."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from softlookup.runs.run_id import DIGITS

# Larger than any measurement; the sum of a thousand squares is still finite.
LARGEST = 1e100
_KEY = re.compile(rf"[0-9a-f]{{{DIGITS}}}")
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


def check_matched(found: Mapping[Any, Any], where: str) -> None:
    """Expect the record of solved widths (`run_config.Matched`), or nothing."""
    if not found:
        return
    for name in ("configured", "widths"):
        expect(
            all(map(number, mapping(found.get(name), f"{where}.{name} is").values())), f"{where}.{name}", "of numbers"
        )
    texts = all(isinstance(found.get(name), str) for name in ("reference", "cost", "to"))
    expect(texts, where, "with its reference, what was matched and to what")
    expect(number(found.get("residual")), f"{where}.residual", "a number")


def check_kept(kept: Mapping[Any, Any], where: str) -> None:
    """Expect which weights a run kept, in the form of `outcome.kept`."""
    numbers = {"best": ("value", "tokens"), "average": ("of",)}.get(str(kept.get("weights")), ())
    expect(all(number(kept.get(name)) for name in numbers), where, "with the numbers of its kind")


def check_identity(found: Mapping[str, Any], where: str) -> None:
    """Expect the choices and the seed of a run."""
    choices = mapping(found.get("choices"), f"{where}: choices is")
    expect(all(isinstance(key, str) for key in choices), f"{where}: choices", "named")
    seed = found.get("seed")
    expect(isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed < 2**63, f"{where}: seed", "a seed")


def check_variant(found: Mapping[str, Any], where: str) -> None:
    """Expect the key, the settings, the tuned keys and the solved widths of a variant."""
    key = found.get("variant_key")
    expect(isinstance(key, str) and bool(_KEY.fullmatch(key)), f"{where}: variant_key", f"{DIGITS} hex digits")
    values = mapping(found.get("settings"), f"{where}: settings is")
    inside = (value for each in values.values() for value in (each if isinstance(each, list) else [each]))
    plain = all(value is None or isinstance(value, str | bool) or number(value) for value in inside)
    expect(plain and all(isinstance(name, str) for name in values), f"{where}: settings", "plain values by name")
    tuned = found.get("tuned")
    expect(isinstance(tuned, list) and all(isinstance(name, str) for name in tuned), f"{where}: tuned", "names")
    check_matched(mapping(found.get("matched") or {}, f"{where}: matched is"), f"{where}: matched")
