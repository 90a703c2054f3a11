"""From the command line to one checked, plain config: every mistake is found here, before anything is built."""

import re
from collections.abc import Sequence
from functools import partial
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError, OmegaConfBaseException

from softlookup.command import BOOKKEEPING, check_overrides, parsed
from softlookup.errors import UserError, nearest, told
from softlookup.identity import UNHASHED
from softlookup.offer import CONF, PRESETS, SCAFFOLDING, groups, no_such_key
from softlookup.parts import check_part, located, part_of
from softlookup.schema import SETTINGS, check_settings

# Settings that make no variant of their own: a seed repeats one, the rest says where and how it runs.
_UNCHOSEN = {"seed", *UNHASHED, *BOOKKEEPING} - {"sizes"}
_HOSTED = {"normalizer", "window", "segmentation"}  # hashed within the attention or the task that uses them
SIZES = ("small", "paper")
# Keys of a task that say where files lie: no variant either.
FILES = ("path", "alignment", "silver")


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
        return no_such_key(unknown[1])
    if isinstance(error, OSError) and error.filename is not None:
        return UserError(f"{error.filename}: {error.strerror}; runs_dir=DIR moves the runs, debug=true shows where")
    if isinstance(error, HydraException | OmegaConfBaseException | yaml.YAMLError | RecursionError):
        return UserError(told(" ".join(str(error).split())))
    return None


def resolve(config: DictConfig) -> dict[str, Any]:
    """The composed config as plain, checked values; what was only scaffolding (`tuned`, `sizes`) is gone.

    Raises UserError for an unknown key, a wrong type, a value out of range, or a `_target_` that is none of the
    group's own.
    """
    if config.get("size") not in SIZES:
        raise UserError(f"size={told(config.get('size'))}: expected {' or '.join(SIZES)}")
    plain = _plain(config)
    offered = groups()
    for key in plain:
        if key not in offered and key not in SETTINGS and key not in BOOKKEEPING:
            raise UserError(
                f"{told(key)}: no choice or key is named {told(key)!r}; {nearest(key, [*offered, *SETTINGS])}"
            )
    check_settings(plain)
    kept = {key: value for key, value in plain.items() if key not in SCAFFOLDING}
    for group in offered:
        if group not in PRESETS:
            check_part(group, kept.get(group), part_of(group))
    chosen = HydraConfig.get().runtime.choices
    if kept["choices"] != {
        group: chosen.get(group) for group in offered if group not in UNHASHED - _HOSTED | SCAFFOLDING
    }:
        raise UserError(f"choices={told(kept['choices'])}: only tells what was chosen; choose as in attention=additive")
    if chosen.get("paper") is not None:
        kept["choices"] |= {"paper": chosen["paper"], "size": plain["size"]}
    elif plain["size"] != "small":
        raise UserError(f"size={told(plain['size'])}: sizes are those of a paper; choose one, as in paper=bahdanau2014")
    kept["choices"] |= _changed(plain, HydraConfig.get().overrides.task)
    return kept


def _plain(config: DictConfig) -> dict[str, Any]:
    # Hydra's own node, where it is still there, holds values that cannot be resolved in one piece.
    try:
        return {
            str(key): OmegaConf.to_container(config[key], resolve=True, throw_on_missing=True)
            if OmegaConf.is_config(config[key])
            else config[key]
            for key in config
            if key != "hydra"
        }
    except InterpolationKeyError as error:
        raise UserError(
            f"{error.full_key}: {str(error).splitlines()[0]}; if an experiment has no tuned value for this choice, "
            f"give one: {error.full_key}=VALUE"
        ) from error
    except (OmegaConfBaseException, RecursionError) as error:
        raise UserError(told(" ".join(str(error).split()))) from error


def _changed(config: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """What was changed by value and not by name, as in attention.heads=4: a choice like any other."""
    changed = {}
    for _, override in parsed(list(overrides)):
        path = override.key_or_group.split(".")
        if path[0] in config and path[0] not in _UNCHOSEN and path[-1] not in FILES:
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
    check_overrides(overrides)
    try:
        with initialize_config_dir(str(CONF), version_base=None):
            config = compose("train", list(overrides), return_hydra_config=True)
    except (HydraException, OmegaConfBaseException, RecursionError) as error:
        raise explain(error) or error from error
    HydraConfig.instance().set_config(config)
    return resolve(config)


def build(node: dict[str, Any]) -> Any:
    """The object, or the factory behind `_partial_`, that a checked part of the config describes.

    Raises UserError with what the constructor had to say, and for a `_target_` outside the groups' packages.
    """
    make = located("part", node["_target_"], tuple(groups()))
    given = {key: value for key, value in node.items() if not key.startswith("_")}
    arguments = {key: build(value) if isinstance(value, dict) else value for key, value in given.items()}
    return partial(make, **arguments) if node.get("_partial_") else make(**arguments)
