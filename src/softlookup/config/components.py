"""Check the parts of a config. Nothing is imported before its name is known to belong to the project.

The keys of a part, their types and defaults are read from the constructor's signature.
"""

import importlib
import inspect
import re
import types
from collections.abc import Callable
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from softlookup.config.catalog import contents, default, groups, no_such_key, presets
from softlookup.config.values import Argument, argument, check, coerced
from softlookup.errors import UserError, nearest, needed_by, quote

_TARGET = re.compile(r"softlookup\.(\w+)(\.\w+)*\.\w+")


@cache
def part_of(group: str) -> Any:
    """Return the type that a group's part of the config builds: an object, or a factory with its later arguments.

    It is the class whose `group` has that name: of the contract, or of the group's own package if the class needs a
    model. Raises UserError for a folder that is no group.
    """
    for home in ("contract", group):
        try:
            found = vars(importlib.import_module(f"softlookup.{home}")).values()
        except ModuleNotFoundError:
            continue
        for kind in found:
            if inspect.isclass(kind) and "group" in vars(kind) and kind.group.name == group:  # type: ignore[attr-defined]
                later = kind.group.later  # type: ignore[attr-defined]
                return Callable[[Any] * len(later), kind] if later else kind
    others = set(groups()) - {group, *presets()}
    raise UserError(f"conf/{group}: no part of a model or a run is chosen there; {nearest(group, others)}")


def check_part(path: str, node: Any, expected: Any) -> None:
    """Check a part: every `_target_` belongs to the project and builds the expected type, every key is an argument of
    its constructor, every value has the argument's type. An integer written as 1e4 is converted. Raises UserError.

    Nothing is imported before its name was found to be in the package of the group or, for a part of a part, in one of
    the packages that it may be taken from.
    """
    if not isinstance(node, dict) or "_target_" not in node:
        raise UserError(f"{path}={quote(node)}: expected a choice; write {path.split('.', maxsplit=1)[0]}=NAME")
    later, promised = _promise(expected)
    # A part of a part has its own group, as a normalizer in an attention, or the same one, as a score.
    home = promised.group.name if hasattr(promised, "group") else getattr(promised, "home", path.partition(".")[0])
    found = located(path, node["_target_"], home)
    made = found if inspect.isclass(found) else get_type_hints(found).get("return")
    if not (inspect.isclass(made) and issubclass(made, promised)) or inspect.isabstract(found):
        raise UserError(f"{path}._target_={quote(node['_target_'])}: expected code that makes a {promised.__name__}")
    partial = node.get("_partial_", False)
    if partial is not (later is not None):
        raise UserError(f"{path}._partial_={quote(partial)}: expected {'false' if later is None else 'true'}")
    takes = dict(list(signature(found).items())[later or 0 :])
    for key, value in node.items():
        if key in ("_target_", "_partial_"):
            continue
        if key not in takes:
            raise _no_argument(f"{path}.{key}", node["_target_"])
        node[key] = coerced(value, takes[key].expected)
        _check_argument(f"{path}.{key}", node[key], takes[key])
    for key, parameter in takes.items():
        if parameter.required and key not in node:
            raise UserError(f"{path}.{key}: {path}._target_={node['_target_']} needs a value for it")


def _no_argument(path: str, target: str) -> UserError:
    """Return the error for a key that the constructor does not take; it names the file of conf/ that sets the key."""
    holder, _, key = path.rpartition(".")
    group, _, inside = holder.partition(".")
    for choice in groups().get(group, []):
        if default(group, choice, f"{inside}._target_".lstrip(".")) == target:
            written = default(group, choice, inside) if inside else contents(group, choice)
            if isinstance(written, dict) and key in written:
                return UserError(f"conf/{group}/{choice}.yaml: {path}: {target} has no argument {key}")
    return no_such_key(path)


def _check_argument(path: str, value: Any, expected: Argument) -> None:
    if isinstance(value, dict) and _promise(expected.expected)[1] is not None:
        check_part(path, value, expected.expected)
    else:
        check(path, value, expected)


def _promise(expected: Any) -> tuple[int | None, Any]:
    """Return the number of arguments that a factory is called with later (None for an object), and the class that it
    builds.

    The class is None if a plain value is expected.
    """
    if get_origin(expected) is not None and get_origin(expected) not in (Union, types.UnionType):
        arguments, made = get_args(expected)
        return len(arguments), made
    return None, expected if inspect.isclass(expected) and expected not in (int, float, bool, str) else None


def located(path: str, target: Any, *packages: str) -> Callable[..., Any]:
    """Return the class or function that a `_target_` names, defined in one of the packages. Raises UserError."""
    named = _TARGET.fullmatch(target) if isinstance(target, str) else None
    if named is None or named[1] not in packages:
        homes = " or ".join(f"softlookup.{package}" for package in packages)
        raise UserError(f"{path}._target_={quote(target)}: only code of {homes} can be built here")
    module, _, name = target.rpartition(".")
    try:
        with needed_by(f"{path}._target_={target}"):
            found = vars(importlib.import_module(module))[name]
    except (ImportError, KeyError) as error:
        if isinstance(error, ImportError) and not (isinstance(error, ModuleNotFoundError) and error.name == module):
            raise UserError(f"{path}._target_={quote(target)}: {module} cannot be imported: {error}") from error
        raise UserError(f"{path}._target_={quote(target)}: there is no such class") from error
    if not (inspect.isclass(found) or inspect.isfunction(found)) or found.__module__ != module:
        raise UserError(f"{path}._target_={quote(target)}: there is no such class")
    return found


@cache
def signature(found: Callable[..., Any]) -> dict[str, Argument]:
    """Return every named argument of a constructor or function, in order."""
    kinds = get_type_hints(found.__init__ if inspect.isclass(found) else found, include_extras=True)
    arguments = inspect.signature(found).parameters.values()
    named = [each for each in arguments if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)]
    return {each.name: argument(kinds[each.name], each.default is inspect.Parameter.empty) for each in named}
