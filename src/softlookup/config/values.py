"""Check single values: type, range and form. Settings and constructors declare them alike, by annotation."""

from __future__ import annotations

import json
import math
import re
import types
import unicodedata
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from softlookup.errors import UserError, quote
from softlookup.ranges import Form, Range

# The range of numbers without a declared range.
ANY = Range(-1_000_000, 1_000_000)
# Unicode categories that no name and no path may contain: separators of lines and paragraphs, control characters,
# surrogates.
_UNFIT = {"Cc", "Cs", "Zl", "Zp"}


class Argument(NamedTuple):
    """Describe an expected value: its type, the range of a number, the form of a text, and whether it is required."""

    expected: Any
    allowed: Range
    form: Form | None
    required: bool


def argument(annotation: Any, required: bool) -> Argument:
    """Return the description that an annotation declares, as in `Annotated[int, Range(1, 8)]`."""
    expected, *declared = get_args(annotation) if get_origin(annotation) is Annotated else (annotation,)
    allowed = next((one for one in declared if isinstance(one, Range)), ANY)
    return Argument(expected, allowed, next((one for one in declared if isinstance(one, Form)), None), required)


def check(path: str, value: Any, argument: Argument) -> None:
    """Raise UserError, which names the value by its path, for a wrong type, a number out of range, or a text of another
    form."""
    check_value(path, value, argument.expected)
    check_range(path, value, argument.allowed)
    if argument.form is not None and isinstance(value, str) and not re.fullmatch(argument.form.pattern, value):
        raise UserError(f"{path}={quote(value)}: expected {argument.form.name}")


def coerced(value: Any, expected: Any) -> Any:
    """Return the value; as an integer if one is expected and it is written as a float, as in 1e4."""
    options = _options(expected)
    if isinstance(value, float) and value.is_integer() and int in options and float not in options:
        return int(value)
    return value


def check_value(path: str, value: Any, expected: Any) -> None:
    """Raise UserError for a value of another type, for text with control characters, for NaN and for infinities."""
    if not _conforms(value, expected):
        if get_origin(expected) is Literal and isinstance(value, str):
            raise UserError(f"{path}={quote(value)}: expected {_described(expected)}")
        if value is None or isinstance(value, bool):
            raise UserError(f"{path}={json.dumps(value)}: expected {_described(expected)}")
        raise UserError(
            f"{path}={quote(value)}: expected {_described(expected)}, got {type(value).__name__} {quote(repr(value))}"
        )
    if isinstance(value, str) and any(unicodedata.category(character) in _UNFIT for character in value):
        raise UserError(f"{path}={quote(value)}: expected text of one line, without control characters")


def check_range(path: str, value: Any, allowed: Range) -> None:
    """Raise UserError for a number outside the allowed range."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    least, most, below = allowed
    if not least <= value <= most or (below and value == most):  # written so that nan is out of every range
        bound = f"a number from {least:,} to below {most:,}" if below else f"at least {least:,}"
        raise UserError(f"{path}={quote(value)}: expected {bound if below or value < least else f'at most {most:,}'}")


def _options(expected: Any) -> tuple[Any, ...]:
    return get_args(expected) if get_origin(expected) in (Union, types.UnionType) else (expected,)


def _conforms(value: Any, expected: Any) -> bool:
    if get_origin(expected) in (Union, types.UnionType):
        return any(_conforms(value, option) for option in get_args(expected))
    if get_origin(expected) is Literal:
        return isinstance(value, str) and value in get_args(expected)
    if expected is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and -math.inf < value < math.inf
    if expected is int:
        return isinstance(value, int) and not isinstance(value, bool)
    # Factories and objects are parts of the config with a `_target_` of their own.
    return expected in (str, bool, types.NoneType) and isinstance(value, expected)


def _described(expected: Any) -> str:
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text", types.NoneType: "null"}
    return " or ".join(
        " or ".join(get_args(option))
        if get_origin(option) is Literal
        else names.get(option, f"a choice (a part with a _target_), as {option}")
        for option in _options(expected)
    )
