"""Resolve a command line to one plain config, and report every mistake before anything is built."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import InterpolationKeyError, OmegaConfBaseException

from softlookup.config.catalog import CONF, default, groups, hosts, keys_of, leaves, no_such_key, presets, tables
from softlookup.config.command_line import check_overrides, parsed, split
from softlookup.config.components import check_part, part_of
from softlookup.config.match_keys import with_attention, without_effect
from softlookup.config.run_config import LOCATIONS, PLACES, RunConfig
from softlookup.config.settings import Identity, Settings, explanations, names
from softlookup.config.unused_keys import References
from softlookup.errors import UserError, nearest, quote

# conf/train.yaml reads the settings and their defaults from this store.
ConfigStore.instance().store("settings", {name: value for name, (value, _) in explanations().items()})


def explain(error: BaseException) -> UserError | None:
    """Return the UserError that explains an error of Hydra or OmegaConf; None for any other error."""
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


def resolve(config: DictConfig, idle: dict[str, UserError] | None = None) -> RunConfig:
    """Return the composed config, checked. `runs.inputs` adds the digests of the data later.

    `tuned` lists the keys whose values came from an experiment's table. Choices that have no effect beside the others
    (a normalizer beside a fixed context) are left out. Keys of the command line that no chosen part uses are added to
    `idle`, each with its error; without `idle` the first of them is raised.

    With `match`, `reference` of the result is the config of the same command line with the attention `match_to`.

    Raises UserError for an unknown key, a wrong type, a value out of range, a `_target_` outside its group, and a key
    without effect.
    """
    chosen = dict(HydraConfig.get().runtime.choices)
    if config.get("match") is None:
        return _resolved(config, chosen, idle)
    other = chosen | {"attention": config.get("match_to") or chosen["attention"]}
    with_other = with_attention(config, _unresolved(config)["attention"], chosen, other, typed_keys())
    found = _resolved(config, chosen, idle)
    return replace(found, reference=_resolved(with_other, other, {}))


def _resolved(config: DictConfig, chosen: Mapping[str, Any], idle: dict[str, UserError] | None) -> RunConfig:
    """Return a composed config, checked; `chosen` are the names of its choices."""
    typed = typed_keys()
    _fall_back(config, chosen, typed)
    plain = _plain(config)
    offered, above = groups(), presets()
    parts = [group for group in offered if group not in above]
    _check_keys(plain, list(offered))
    settings = Settings.of(plain)
    plain |= settings.plain()
    choices = {group: chosen.get(group) for group in parts if group != "tracking"}
    names_of = plain["choices"] if isinstance(plain["choices"], dict) else {}
    if {key: names_of.get(key) for key in choices} != choices:
        raise UserError(
            f"choices={quote(plain['choices'])}: only records what was chosen; choose as in attention=additive"
        )
    inside = hosts()
    # Parts of other parts first: an error then names the key as it is typed, as in mixer.heads.
    for group in sorted(parts, key=lambda group: group not in inside):
        check_part(group, plain.get(group), part_of(group))
    if chosen.get("paper") is not None:
        choices |= {"paper": chosen["paper"], "size": settings.size}
    elif settings.size != "small":
        raise UserError(f"size={settings.size}: sizes are those of a paper; choose one, as in paper=bahdanau2014")
    raw = _unresolved(config)
    references = References(raw, choices)
    given = {key: choices.get(key) if key in inside else _at(plain, key) for key in typed}
    unused = {key: references.refusal(key, value) for key, value in given.items() if not references.uses(key)}
    unused |= without_effect(settings, given)
    if settings.init_from is not None:
        unused |= _without_segmentation(raw, choices, references, given)
    if idle is None and unused:
        raise next(iter(unused.values()))
    if idle is not None:
        idle |= unused
    choices = {key: value for key, value in choices.items() if key not in inside or references.uses(key)}
    choices |= {key: value for key, value in given.items() if key not in unused and makes_a_variant(key)}
    if settings.match is not None:
        matched = {name: value for name, value in settings.plain().items() if name.startswith("match")}
        choices |= {name: value for name, value in matched.items() if value is not None and name not in unused}
    task = plain["task"] | {
        key: str(Path(plain["task"][key]).expanduser().absolute())
        for key in sorted(PLACES)
        if plain["task"].get(key) is not None
    }
    read = {group: plain[group] for group in parts if group not in inside and group != "tracking"}
    return RunConfig(settings, read | {"task": task}, plain["tracking"], choices, tuple(references.tuned))


def _check_keys(config: dict[str, Any], offered: Sequence[str]) -> None:
    known = [*offered, *names()]
    for key in config:
        if key not in known and key != "choices" and key not in tables():
            raise UserError(f"{quote(key)}: no choice or key is named {quote(key)!r}; {nearest(key, known)}")


def _without_segmentation(
    raw: dict[str, Any], choices: dict[str, Any], references: References, given: dict[str, Any]
) -> dict[str, UserError]:
    """Return the errors of keys that only the segmentation uses, for a run that inherits its vocabularies."""
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


def _unresolved(config: DictConfig) -> dict[str, Any]:
    """Return the config with its interpolations as text, without Hydra's own node."""
    container = OmegaConf.to_container(config, resolve=False)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items() if key != "hydra"}


def _fall_back(config: DictConfig, chosen: Mapping[str, Any], typed: Sequence[str]) -> None:
    """Apply the keys of a paper or an experiment only to the choices that they are meant for.

    A key that the chosen part does not have, but another choice of its group has, is dropped; a key whose table has no
    value for the chosen part gets the default of the choice. Keys of the command line are kept, and rejected later.
    """
    raw = _unresolved(config)
    tabled = tuple(f"${{{table}." for table in tables())
    above = presets()
    for group in (group for group in raw if chosen.get(group) and group not in above):
        available = keys_of(group, str(chosen[group]))
        for path, leaf in leaves(raw[group], group):
            key = path.partition(".")[2]
            if path not in typed and key not in available and key in keys_of(group):
                _drop(config, path)
            elif isinstance(leaf, str) and leaf.startswith(tabled):
                try:
                    OmegaConf.select(config, path)
                except InterpolationKeyError:
                    OmegaConf.update(config, path, default(group, str(chosen[group]), key))


def _drop(config: DictConfig, path: str) -> None:
    """Delete a key, and every mapping that this leaves empty."""
    holder, _, key = path.rpartition(".")
    with open_dict(config):
        node = OmegaConf.select(config, holder)
        del node[key]
        if not node:
            _drop(config, holder)


def _plain(config: DictConfig) -> dict[str, Any]:
    # Hydra's own node, if present, holds values that cannot be resolved as a whole.
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


def _at(config: Mapping[str, Any], key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def makes_a_variant(key: str) -> bool:
    """Return whether a key changes a value of the run's identity, as in attention.heads=4: it is recorded as a
    choice."""
    head, _, rest = key.partition(".")
    if head in names() or head in tables():
        return head in names(Identity.VARIANT)
    located = head == "task" and rest in LOCATIONS
    return bool(rest) and head != "tracking" and not located


def typed_keys() -> list[str]:
    """Return the keys of the command line that was composed last."""
    words = OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False)
    assert isinstance(words, list)
    return [override.key_or_group for _, override in parsed(words)]


def composed(overrides: Sequence[str]) -> RunConfig:
    """Return the checked config of a command line, for programs that do not train.

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
