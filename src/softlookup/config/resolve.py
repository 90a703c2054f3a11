"""Resolve a command line to one plain config, and report every mistake before anything is built."""

import re
from collections.abc import Container, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError, OmegaConfBaseException

from softlookup.config import lineage
from softlookup.config.catalog import CONF, PRESETS, SCAFFOLDING, default, groups, leaves, no_such_key
from softlookup.config.command_line import BOOKKEEPING, PATHS, check_overrides, parsed, split
from softlookup.config.components import check_part, located, part_of
from softlookup.config.settings import SETTINGS, check_settings, settled
from softlookup.config.unused_keys import HOSTS, References
from softlookup.errors import UserError, nearest, quote
from softlookup.runs.run_id import LOCATIONS, UNHASHED

# Settings that make no variant of their own: a seed repeats one, the rest says where and how it runs.
_UNCHOSEN = {"seed", *UNHASHED, *BOOKKEEPING} - {"sizes", *HOSTS}
SIZES = ("small", "paper")


def explain(error: BaseException) -> UserError | None:
    """Return the mistake behind an error of Hydra or OmegaConf, in words for people; None when there is none."""
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
        return UserError(quote(" ".join(str(error).split())))
    return None


def resolve(config: DictConfig, idle: dict[str, UserError] | None = None) -> dict[str, Any]:
    """Return the composed config as plain, checked values, without what was only scaffolding (`tuned`, `sizes`).

    `tuned` then lists the keys whose values came from an experiment's table. Choices that the others make meaningless
    (a normalizer beside a fixed context) are left out. Keys of the command line that no chosen part uses are added to
    `idle`, each with its error; without `idle` the first of them is raised.

    Raises UserError for an unknown key, a wrong type, a value out of range, a `_target_` that is none of the group's
    own, and a key that does nothing.
    """
    if config.get("size") not in SIZES:
        raise UserError(f"size={quote(config.get('size'))}: expected {' or '.join(SIZES)}")
    _default_where_untuned(config)
    plain = _plain(config)
    offered = groups()
    for key in plain:
        if key not in offered and key not in SETTINGS and key not in BOOKKEEPING:
            raise UserError(
                f"{quote(key)}: no choice or key is named {quote(key)!r}; {nearest(key, [*offered, *SETTINGS])}"
            )
    check_settings(plain)
    kept = {key: value for key, value in plain.items() if key not in SCAFFOLDING}
    for group in offered:
        if group not in PRESETS:
            check_part(group, kept.get(group), part_of(group))
    chosen = HydraConfig.get().runtime.choices
    if kept["choices"] != {group: chosen.get(group) for group in offered if group not in _UNCHOSEN - {*HOSTS}}:
        raise UserError(
            f"choices={quote(kept['choices'])}: only tells what was chosen; choose as in attention=additive"
        )
    if chosen.get("paper") is not None:
        kept["choices"] |= {"paper": chosen["paper"], "size": plain["size"]}
    elif plain["size"] != "small":
        raise UserError(
            f"size={quote(plain['size'])}: sizes are those of a paper; choose one, as in paper=bahdanau2014"
        )
    raw = _unresolved(config)
    references = References(raw, plain["choices"])
    given = _given(plain, HydraConfig.get().overrides.task)
    doing_nothing = {key: references.refusal(key, value) for key, value in given.items() if not references.uses(key)}
    if plain["init_from"] is not None:
        doing_nothing |= _without_segmentation(raw, plain["choices"], references, given)
    if idle is None and doing_nothing:
        raise next(iter(doing_nothing.values()))
    if idle is not None:
        idle |= doing_nothing
    for group in (group for group in HOSTS if not references.uses(group)):
        del kept[group], kept["choices"][group]
    kept["choices"] |= {
        key: value for key, value in given.items() if key not in doing_nothing and _makes_a_variant(key, offered, plain)
    }
    kept["tuned"] = references.tuned
    kept["task"] |= {
        key: str(Path(kept["task"][key]).expanduser().absolute())
        for key in (path.removeprefix("task.") for path in PATHS)
        if kept["task"].get(key) is not None
    }
    return kept


def _without_segmentation(
    raw: dict[str, Any], choices: dict[str, Any], references: References, given: dict[str, Any]
) -> dict[str, UserError]:
    """Find keys that only the segmentation uses, of a run that takes its vocabularies from another one."""
    task = {key: value for key, value in raw["task"].items() if key != "segmentation"}
    others = References(raw | {"task": task}, choices)
    return {
        key: UserError(
            f"{key}={quote(value)}: init_from keeps the vocabularies of {quote(raw['init_from'])}, and with them its "
            "segmentation; leave it out"
        )
        for key, value in given.items()
        if key.removeprefix("task.").partition(".")[0] == "segmentation"
        or (references.uses(key) and not others.uses(key))
    }


def with_data(config: dict[str, Any]) -> dict[str, Any]:
    """Add `data`: the SHA-256 of everything that the task of a resolved config reads, by name, and of the weights that
    it starts from. Reads all of it. What a run takes over from another (`init_from`, `continue_from`) is settled here.

    Raises UserError for data that cannot be read, and for a run that nothing can be taken over from.
    """
    typed = [override.key_or_group for _, override in parsed(list(HydraConfig.get().overrides.task))]
    whole = lineage.inherited(config, typed)
    task = located("task", whole["task"]["_target_"], ("task",))
    data = task.digests(whole["task"]) | lineage.taken_over(whole)  # type: ignore[attr-defined]
    if whole.get("data", data) != data:
        changed = sorted(
            name for name in data.keys() | whole["data"].keys() if data.get(name) != whole["data"].get(name)
        )
        raise UserError(
            f"continue_from={whole['continue_from']}: {', '.join(changed)} is not what that run was trained on; "
            f"restore the data (task={whole['choices']['task']} task.path=DIR says where it is now), or start a new "
            "run with init_from"
        )
    return whole | {"data": data}


def _unresolved(config: DictConfig) -> dict[str, Any]:
    """Return the config with its interpolations as text, without Hydra's own node."""
    container = OmegaConf.to_container(config, resolve=False)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items() if key != "hydra"}


def _default_where_untuned(config: DictConfig) -> None:
    """Give the default of its choice to a key that an experiment tuned for other choices, and not for this one."""
    if not config.get("tuned"):
        return
    raw, chosen = _unresolved(config), HydraConfig.get().runtime.choices
    for group in (group for group in raw if chosen.get(group)):
        for path, leaf in leaves(raw[group], group):
            if isinstance(leaf, str) and leaf.startswith("${tuned."):
                try:
                    OmegaConf.select(config, path)
                except InterpolationKeyError:
                    OmegaConf.update(config, path, default(group, str(chosen[group]), path.partition(".")[2]))


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
    except (OmegaConfBaseException, RecursionError) as error:
        raise UserError(quote(" ".join(str(error).split()))) from error


def _given(config: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Return the keys of a command line with the values that the config has there; names stand for chosen parts."""
    given = {}
    for _, override in parsed(list(overrides)):
        key = override.key_or_group
        value: Any = config
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if key.startswith("sizes."):  # no part has it by this name, where it would have been settled
            value = settled(value, int)
        given[key] = config["choices"].get(key) if key in HOSTS else value
    return given


def _makes_a_variant(key: str, offered: Container[str], config: dict[str, Any]) -> bool:
    """Say whether a key was changed by value and not by name, as in attention.heads=4: a choice like any other."""
    head, _, rest = key.partition(".")
    located = head == "task" and rest in LOCATIONS
    return key not in offered and head in config and head not in _UNCHOSEN and not located


def composed(overrides: Sequence[str]) -> dict[str, Any]:
    """Return the checked config of a command line, for the verbs that train nothing.

    Raises UserError as `check_overrides` and `resolve` do.
    """
    check_overrides(overrides)
    _, words = split(overrides)
    try:
        with initialize_config_dir(str(CONF), version_base=None):
            config = compose("train", words, return_hydra_config=True)
    except (HydraException, OmegaConfBaseException, RecursionError) as error:
        raise explain(error) or error from error
    HydraConfig.instance().set_config(config)
    return resolve(config)


def build(node: dict[str, Any]) -> Any:
    """Return the object, or the factory behind `_partial_`, that a checked part of the config describes.

    Raises UserError with what the constructor had to say, and for a `_target_` outside the groups' packages.
    """
    make = located("part", node["_target_"], tuple(groups()))
    given = {key: value for key, value in node.items() if not key.startswith("_")}
    arguments = {key: build(value) if isinstance(value, dict) else value for key, value in given.items()}
    return partial(make, **arguments) if node.get("_partial_") else make(**arguments)
