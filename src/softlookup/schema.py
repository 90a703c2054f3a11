"""What a value of a config must be: the types and ranges that the constructor behind it asks for."""

import importlib
import inspect
import types
from collections.abc import Callable
from typing import Any, Union, get_args, get_origin, get_type_hints

from softlookup.errors import UserError

# Arguments that count something, wherever they stand.
_SIZES = {"width", "embedding", "feed_forward", "readout", "layers", "heads"}


def signature(path: str, target: Any) -> dict[str, Any]:
    """Argument names and types of what a `_target_` names."""
    if not isinstance(target, str) or not target.startswith("softlookup."):
        raise UserError(f"{path}._target_={target}: only what softlookup itself defines can be built")
    module, _, name = target.rpartition(".")
    try:
        found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UserError(f"{path}._target_={target}: there is no such class ({error})") from error
    if not str(getattr(found, "__module__", "")).startswith("softlookup."):
        raise UserError(f"{path}._target_={target}: only what softlookup itself defines can be built")
    function = found.__init__ if inspect.isclass(found) else found
    return {key: kind for key, kind in get_type_hints(function).items() if key != "return"}


def check_value(path: str, value: Any, expected: Any) -> None:
    if not _conforms(value, expected):
        raise UserError(f"{path}={value}: expected {_described(expected)}, got {type(value).__name__} {value!r}")


def check_range(path: str, value: Any) -> None:
    """What torch would refuse later, and less plainly."""
    key = path.rpartition(".")[2]
    if key in _SIZES and value is not None and value < 1:
        raise UserError(f"{path}={value}: expected at least 1")
    if key == "dropout" and not 0 <= value < 1:
        raise UserError(f"{path}={value}: expected a share from 0 to below 1")


def _conforms(value: Any, expected: Any) -> bool:
    if get_origin(expected) in (Union, types.UnionType):
        return any(_conforms(value, option) for option in get_args(expected))
    if expected is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if expected is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if expected in (str, bool, types.NoneType):
        return isinstance(value, expected)
    # Factories and objects are parts of the config with a `_target_` of their own.
    return get_origin(expected) in (list, tuple, dict) and isinstance(value, list | dict)


def _described(expected: Any) -> str:
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text", types.NoneType: "null"}
    options = get_args(expected) if get_origin(expected) in (Union, types.UnionType) else (expected,)
    return " or ".join(names.get(option, f"a choice (a part with a _target_), as {option}") for option in options)
