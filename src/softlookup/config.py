"""From the command line to one checked, plain config: every mistake is found here, before anything is built."""

import importlib
import inspect
import re
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override
from hydra.errors import ConfigCompositionException, HydraException, OverrideParseException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from softlookup.errors import UserError, nearest

CONF = Path(__file__).parents[2] / "conf"

# What each key of the menu must be, and the least it may be.
_SETTINGS: dict[str, tuple[Any, int | None]] = {
    "seed": (int, 0),
    "budget": (int, 1),
    "batch_tokens": (int, 1),
    "validations": (int, 1),
    "runs_dir": (str, None),
    "experiment_name": (str, None),
    "workers": (int | None, 1),
    "threads": (int, 1),
    "device": (str, None),
    "debug": (bool, None),
}
_BOOKKEEPING = {"tuned", "choices", "experiment"}


def groups() -> dict[str, list[str]]:
    """Every group of choices, and what it offers."""
    found = {}
    for folder in sorted(path for path in CONF.iterdir() if path.is_dir() and path.name != "hydra"):
        found[folder.name] = sorted(path.stem for path in folder.glob("*.yaml"))
    return found


def check_overrides(arguments: list[str]) -> None:
    """Refuse a mistyped choice or key of the command line, with the nearest valid ones.

    Raises UserError. Keys below a group (`attention.heads`) are checked by `resolve` against what is built from them.
    """
    offered = groups()
    for given, override in _parsed([a for a in arguments if not a.startswith("-")]):
        name = override.key_or_group.split("@")[0]
        head = re.split(r"[./]", name)[0]
        if head == "hydra":
            continue
        if head not in offered and head not in _SETTINGS and head not in _BOOKKEEPING:
            raise UserError(f"{given}: no choice or key is named {head!r}; {nearest(head, [*offered, *_SETTINGS])}")
        if name in offered and not override.is_delete():
            for choice in _choices(override):
                if choice not in offered[name]:
                    raise UserError(f"{given}: {name} has no choice {choice!r}; {nearest(choice, offered[name])}")


def _parsed(arguments: list[str]) -> Iterator[tuple[str, Override]]:
    parser = OverridesParser.create()
    for argument in arguments:
        try:
            yield argument, parser.parse_override(argument)
        except OverrideParseException as error:
            raise UserError(f"{argument}: expected key=value, as in attention=additive or seed=2") from error


def _choices(override: Override) -> list[str]:
    """The plain words that an override picks from a group; what only Hydra can expand is left to it."""
    value = override.value()
    options = value.list if isinstance(value, ChoiceSweep) else [value]
    return [str(option) for option in options or [] if isinstance(option, str)]


def explain(error: BaseException) -> UserError | None:
    """The mistake behind an error of Hydra or OmegaConf, in words for people; None when there is none."""
    chain: list[BaseException] = []
    step: BaseException | None = error
    while step is not None and step not in chain:
        chain.append(step)
        step = step.__cause__ or step.__context__
    for link in chain:
        if isinstance(link, UserError):
            return link
    unknown = re.search(r"Key '([^']+)' is not in struct\s+full_key: (\S+)", "\n".join(map(str, chain)))
    if unknown:
        word, full = unknown.groups()
        return UserError(f"{full}: no such key; {nearest(word, _keys_below(full.split('.')[0]))}")
    if isinstance(error, ConfigCompositionException | OverrideParseException | OmegaConfBaseException | HydraException):
        return UserError(" ".join(str(error).split()))
    return None


def _keys_below(group: str) -> set[str]:
    """Every key that a file of the group has; those of the menu for a key that is in no group."""
    if not (CONF / group).is_dir():
        return {*_SETTINGS, *groups()}
    files = [yaml.safe_load(path.read_text(encoding="utf-8")) or {} for path in (CONF / group).glob("*.yaml")]
    return {key for content in files for key in content if not key.startswith("_")} or {"(none)"}


def resolve(config: DictConfig) -> dict[str, Any]:
    """The composed config as plain, checked values; what was only scaffolding (`tuned`) is gone.

    Raises UserError for an unknown key, a wrong type, a value out of range, or a `_target_` outside the package.
    """
    try:
        plain = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        raise UserError(" ".join(str(error).split())) from error
    assert isinstance(plain, dict)
    offered = groups()
    for key in plain:
        if key not in offered and key not in _SETTINGS and key not in _BOOKKEEPING:
            raise UserError(f"{key}: no choice or key is named {key!r}; {nearest(str(key), [*offered, *_SETTINGS])}")
    for key, (expected, least) in _SETTINGS.items():
        _check_value(key, plain[key], expected)
        if least is not None and plain[key] is not None and plain[key] < least:
            raise UserError(f"{key}={plain[key]}: expected at least {least}")
    if plain["device"] not in ("auto", "cpu", "cuda"):
        raise UserError(f"device={plain['device']}: expected auto, cpu or cuda")
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", plain["experiment_name"]):
        raise UserError(f"experiment_name={plain['experiment_name']!r}: expected a plain folder name")
    kept = {str(key): value for key, value in plain.items() if key not in ("tuned", "experiment")}
    for key, value in kept.items():
        if key in offered:
            _check_node(key, value)
    return kept


def build(node: dict[str, Any]) -> Any:
    """The object, or the factory behind `_partial_`, that a checked part of the config describes.

    Raises UserError with what the constructor had to say.
    """
    try:
        return instantiate(node, _convert_="all")
    except Exception as error:
        mistake = explain(error)
        if isinstance(mistake, UserError) and isinstance(error.__cause__, UserError):
            raise error.__cause__ from error
        raise


def _check_node(path: str, node: Any) -> None:
    """Every `_target_` is ours, every key one that its constructor takes, every value of the type that it takes."""
    if not isinstance(node, dict) or "_target_" not in node:
        raise UserError(f"{path}={node}: expected a choice; write {path.split('.')[0]}=NAME")
    takes = _signature(path, node["_target_"])
    for key, value in node.items():
        if key in ("_target_", "_partial_"):
            continue
        if key not in takes:
            words = [word for word in takes if word in node] or ["(none)"]
            raise UserError(f"{path}.{key}: no such key; {nearest(key, words)}")
        if isinstance(value, dict):
            _check_node(f"{path}.{key}", value)
        else:
            _check_value(f"{path}.{key}", value, takes[key])


def _signature(path: str, target: Any) -> dict[str, Any]:
    """Argument names and types of what a `_target_` names."""
    if not isinstance(target, str) or not target.startswith("softlookup."):
        raise UserError(f"{path}._target_={target}: only what softlookup itself defines can be built")
    module, _, name = target.rpartition(".")
    try:
        found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UserError(f"{path}._target_={target}: there is no such class ({error})") from error
    function = found.__init__ if inspect.isclass(found) else found
    return {key: kind for key, kind in get_type_hints(function).items() if key != "return"}


def _check_value(path: str, value: Any, expected: Any) -> None:
    if not _conforms(value, expected):
        raise UserError(f"{path}={value}: expected {_described(expected)}, got {type(value).__name__} {value!r}")


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
