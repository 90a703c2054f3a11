"""Check the parts of a config. Nothing is imported before its name is known to be one of the project's.

There is no second list of a part's keys: their names, types and defaults are those of the constructor.
"""

import importlib
import inspect
import re
import types
from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin, get_type_hints

from softlookup.config.catalog import no_such_key
from softlookup.config.settings import ANY, check_range, check_value, settled
from softlookup.config.unused_keys import INSIDE
from softlookup.errors import UserError, nearest, quote
from softlookup.ranges import Range

_TARGET = re.compile(r"softlookup\.(\w+)(\.\w+)*\.\w+")


@cache
def part_of(group: str) -> Any:
    """Return what a group's part of the config makes: an object, or a factory of what it is called with later.

    Raises UserError for a folder that is no group.
    """
    from softlookup.contract import (
        Attention,
        Curriculum,
        Decoder,
        Encoder,
        Initialization,
        Normalizer,
        Optimizer,
        Schedule,
        Segmentation,
        Task,
        Widths,
        Window,
    )
    from softlookup.search.search import Search
    from softlookup.tracking.wandb_tracker import Tracker

    attention = Callable[[Widths], Attention]
    parts: dict[str, Any] = {
        "task": Task,
        "segmentation": Segmentation,
        "curriculum": Callable[[Task], Curriculum],
        "encoder": Callable[[int], Encoder],
        "attention": attention,
        "normalizer": Normalizer,
        "window": Callable[[int], Window],
        "decoder": Callable[[int, int, int, attention], Decoder],
        "initialization": Initialization,
        "optimizer": Optimizer,
        "schedule": Schedule,
        "search": Search,
        "tracking": Tracker,
    }
    if group not in parts:
        raise UserError(f"conf/{group}: no part of a model or a run is chosen there; {nearest(group, parts)}")
    return parts[group]


class Argument(NamedTuple):
    """Describe an argument of a constructor: its type, the range of its number, and whether it has to be given."""

    expected: Any
    allowed: Range
    required: bool


def check_part(path: str, node: Any, expected: Any) -> None:
    """Every `_target_` is ours and makes what is expected, every key one that its constructor takes, every value of
    the type that it takes; a whole number that is written as 1e4 becomes one. Raises UserError.

    Nothing is imported before its name was found to be in the package of the group, or for a part of a part in one of
    those that it may be taken from.
    """
    if not isinstance(node, dict) or "_target_" not in node:
        raise UserError(f"{path}={quote(node)}: expected a choice; write {path.split('.', maxsplit=1)[0]}=NAME")
    later, promised = _promise(expected)
    group, *inside = path.split(".")
    packages = (group, *INSIDE.get(group, ())) if inside else (group,)
    found = located(path, node["_target_"], packages)
    made = found if inspect.isclass(found) else get_type_hints(found).get("return")
    if not (inspect.isclass(made) and issubclass(made, promised)) or inspect.isabstract(found):
        raise UserError(f"{path}._target_={quote(node['_target_'])}: expected what makes a {promised.__name__}")
    partial = node.get("_partial_", False)
    if partial is not (later is not None):
        raise UserError(f"{path}._partial_={quote(partial)}: expected {'false' if later is None else 'true'}")
    takes = dict(list(signature(found).items())[later or 0 :])
    for key, value in node.items():
        if key in ("_target_", "_partial_"):
            continue
        if key not in takes:
            raise no_such_key(f"{path}.{key}")
        node[key] = settled(value, takes[key].expected)
        _check_argument(f"{path}.{key}", node[key], takes[key])
    for key, argument in takes.items():
        if argument.required and key not in node:
            raise UserError(f"{path}.{key}: {path}._target_={node['_target_']} needs a value for it")


def _check_argument(path: str, value: Any, argument: Argument) -> None:
    if isinstance(value, dict) and _promise(argument.expected)[1] is not None:
        check_part(path, value, argument.expected)
    else:
        check_value(path, value, argument.expected)
        check_range(path, value, argument.allowed)


def _promise(expected: Any) -> tuple[int | None, Any]:
    """Return how many arguments a factory is called with later (None: it is no factory), and the class of what is made.

    The class is None where no part is expected but a plain value.
    """
    if get_origin(expected) is not None and get_origin(expected) not in (Union, types.UnionType):
        arguments, made = get_args(expected)
        return len(arguments), made
    return None, expected if inspect.isclass(expected) and expected not in (int, float, bool, str) else None


def located(path: str, target: Any, packages: tuple[str, ...]) -> Callable[..., Any]:
    """Return the class or function of the package that a `_target_` names, defined where it says. Raises UserError."""
    named = _TARGET.fullmatch(target) if isinstance(target, str) else None
    if named is None or named[1] not in packages:
        homes = " or ".join(f"softlookup.{package}" for package in packages)
        raise UserError(f"{path}._target_={quote(target)}: only what {homes} defines can be built here")
    module, _, name = target.rpartition(".")
    try:
        found = vars(importlib.import_module(module))[name]
    except (ImportError, KeyError) as error:
        raise UserError(f"{path}._target_={quote(target)}: there is no such class") from error
    if not (inspect.isclass(found) or inspect.isfunction(found)) or found.__module__ != module:
        raise UserError(f"{path}._target_={quote(target)}: there is no such class")
    return found


@cache
def signature(found: Callable[..., Any]) -> dict[str, Argument]:
    """Return every argument with a name, in its order."""
    kinds = get_type_hints(found.__init__ if inspect.isclass(found) else found, include_extras=True)
    arguments = inspect.signature(found).parameters.values()
    named = [each for each in arguments if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)]
    return {argument.name: _argument(kinds[argument.name], argument.default) for argument in named}


def _argument(kind: Any, default: Any) -> Argument:
    expected, *declared = get_args(kind) if get_origin(kind) is Annotated else (kind,)
    allowed = next((one for one in declared if isinstance(one, Range)), ANY)
    return Argument(expected, allowed, default is inspect.Parameter.empty)
