"""From the command line to one checked, plain config: every mistake is found here, before anything is built."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, QuotedString
from hydra.errors import ConfigCompositionException, HydraException, OverrideParseException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError, OmegaConfBaseException

from softlookup.errors import UserError, nearest
from softlookup.record import UNHASHED
from softlookup.schema import check_range, check_value, signature

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
    "processes": (int, 1),
    "memory": (int | None, 1),
    "checkpoint_seconds": (float, 0),
    "device": (str, None),
    "debug": (bool, None),
    "confirm": (bool, None),
}
_BOOKKEEPING = {"tuned", "choices", "experiment"}
# Settings that make no variant of their own: a seed repeats one, the rest says where and how it runs.
_UNCHOSEN = {"seed", *UNHASHED}


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
    asked = get_args_parser().parse_args(arguments)
    for given, override in _parsed(asked.overrides):
        name = override.key_or_group.split("@")[0]
        head = re.split(r"[./]", name)[0]
        if head == "hydra":
            continue
        if head == "choices":
            raise UserError(f"{given}: choices only tells what was chosen; choose as in attention=additive")
        if head not in offered and head not in _SETTINGS and head not in _BOOKKEEPING:
            raise UserError(f"{given}: no choice or key is named {head!r}; {nearest(head, [*offered, *_SETTINGS])}")
        if override.is_delete():
            raise UserError(f"{given}: nothing can be left out; write {name}=VALUE to change it")
        if name in offered:
            for choice in _choices(override):
                if choice not in offered[name]:
                    raise UserError(f"{given}: {name} has no choice {choice!r}; {nearest(choice, offered[name])}")
        if (
            override.is_sweep_override()
            and not asked.multirun
            and not any(a.startswith("experiment=") for a in arguments)
        ):
            raise UserError(f"{given} asks for several runs; add -m, as in: python src/train.py -m {given}")


def _parsed(arguments: list[str]) -> Iterator[tuple[str, Override]]:
    parser = OverridesParser.create()
    for argument in arguments:
        try:
            yield argument, parser.parse_override(argument)
        except HydraException as error:
            raise UserError(f"{argument}: expected key=value, as in attention=additive or seed=2") from error


def _choices(override: Override) -> list[str]:
    """The words that an override picks from a group; globs and ranges, which only Hydra can expand, are left to it."""
    value = override.value()
    if override.is_sweep_override() and not isinstance(value, ChoiceSweep):
        return []
    options = (value.list or []) if isinstance(value, ChoiceSweep) else [value]
    return [option.text if isinstance(option, QuotedString) else str(option or "null") for option in options]


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
    unknown = re.search(r"Key '[^']+' is not in struct\s+full_key: (\S+)", "\n".join(map(str, chain)))
    if unknown:
        return _no_such_key(unknown[1])
    if isinstance(error, OSError) and error.filename is not None:
        return UserError(f"{error.filename}: {error.strerror}; runs_dir=DIR moves the runs, debug=true shows where")
    if isinstance(error, ConfigCompositionException | OverrideParseException | OmegaConfBaseException | HydraException):
        return UserError(" ".join(str(error).split()))
    return None


def _no_such_key(path: str) -> UserError:
    """Names the choices of the group that do have the key, or the nearest keys of any of them."""
    group, _, key = path.partition(".")
    files = (CONF / group).glob("*.yaml")
    has = {file.stem: set(_keys(yaml.safe_load(file.read_text(encoding="utf-8")) or {})) for file in files}
    others = sorted(choice for choice, keys in has.items() if key in keys)
    if others:
        return UserError(
            f"{path}: the chosen {group} has no such key; {', '.join(others)} {'do' if others[1:] else 'does'}"
        )
    return UserError(f"{path}: no such key; {nearest(key, set().union(*has.values()) or {*_SETTINGS, *groups()})}")


def _keys(content: dict[str, Any]) -> Iterator[str]:
    """Every key of a choice that can be changed, as in score.width."""
    for key, value in content.items():
        if not key.startswith("_"):
            yield key
            if isinstance(value, dict):
                yield from (f"{key}.{below}" for below in _keys(value))


def resolve(config: DictConfig) -> dict[str, Any]:
    """The composed config as plain, checked values; what was only scaffolding (`tuned`) is gone.

    Raises UserError for an unknown key, a wrong type, a value out of range, or a `_target_` outside the package.
    """
    # Hydra's own node, where it is still there, holds values that cannot be resolved in one piece.
    own = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    try:
        plain = OmegaConf.to_container(own, resolve=True)
    except InterpolationKeyError as error:
        raise UserError(
            f"{error.full_key}: {str(error).splitlines()[0]}; if an experiment has no tuned value for this choice, "
            f"give one: {error.full_key}=VALUE"
        ) from error
    except OmegaConfBaseException as error:
        raise UserError(" ".join(str(error).split())) from error
    assert isinstance(plain, dict)
    offered = groups()
    for key in map(str, plain):
        if key not in offered and key not in _SETTINGS and key not in _BOOKKEEPING:
            raise UserError(f"{key}: no choice or key is named {key!r}; {nearest(key, [*offered, *_SETTINGS])}")
    for key, (expected, least) in _SETTINGS.items():
        check_value(key, plain[key], expected)
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
    kept["choices"] |= _changed(kept, HydraConfig.get().overrides.task)
    return kept


def _changed(config: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """What was changed by value and not by name, as in attention.heads=4: a choice like any other."""
    changed = {}
    for _, override in _parsed(list(overrides)):
        path = override.key_or_group.split(".")
        if path[0] in config and path[0] not in (*_BOOKKEEPING, *_UNCHOSEN) and path[-1] != "path":
            value: Any = config
            for part in path:
                value = value.get(part) if isinstance(value, dict) else None
            if not isinstance(value, dict):
                changed[override.key_or_group] = value
    return changed


def composed(overrides: Sequence[str]) -> dict[str, Any]:
    """The checked config of a command line, for the verbs that train nothing.

    Raises UserError as `check_overrides` and `resolve` do.
    """
    check_overrides(list(overrides))
    try:
        with initialize_config_dir(str(CONF), version_base=None):
            config = compose("train", list(overrides), return_hydra_config=True)
    except HydraException as error:
        raise explain(error) or error from error
    HydraConfig.instance().set_config(config)
    return resolve(config)


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
        raise UserError(f"{path}={node}: expected a choice; write {path.split('.', maxsplit=1)[0]}=NAME")
    takes = signature(path, node["_target_"])
    for key, value in node.items():
        if key in ("_target_", "_partial_"):
            continue
        if key not in takes:
            raise _no_such_key(f"{path}.{key}")
        if isinstance(value, dict):
            _check_node(f"{path}.{key}", value)
        else:
            check_value(f"{path}.{key}", value, takes[key])
            check_range(f"{path}.{key}", value)
