"""Compose the reference of `match`, and find keys of a match or of a search that have no effect."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from softlookup.config.catalog import contents, groups, keys_of, leaves
from softlookup.config.settings import Settings
from softlookup.errors import UserError, nearest, quote

# The setting that gives each key an effect.
_NEEDS = {"match_to": "match=parameters", "match_widths": "match=parameters", "match_length": "match=state"}
_NEEDS |= {"tune_seeds": "tune=rate:4"}


def with_attention(
    config: DictConfig, raw: Any, chosen: Mapping[str, Any], other: Mapping[str, Any], typed: Sequence[str]
) -> DictConfig:
    """Return a composed config with the attention of the choices `other` in place of that of `chosen`.

    `raw` is the attention of the config, with its interpolations. Each of its values that the command line (by the keys
    `typed`) or a preset has set is set for the other attention too, if that has the key. Raises UserError for an
    unknown attention.
    """
    name, offered = str(other["attention"]), groups()["attention"]
    if name not in offered:
        raise UserError(f"match_to={quote(name)}: no attention has this name; {nearest(name, offered)}")
    result = copy.deepcopy(config)
    defaults = dict(leaves(contents("attention", str(chosen["attention"])), "attention"))
    available = keys_of("attention", name)
    with open_dict(result):
        result["attention"] = contents("attention", name)
        result["choices"] = dict(other)
        for path, value in leaves(raw, "attention"):
            changed = path in typed or path not in defaults or defaults[path] != value
            if changed and path.partition(".")[2] in available:
                OmegaConf.update(result, path, value)
    return result


def without_effect(settings: Settings, given: Mapping[str, Any]) -> dict[str, UserError]:
    """Return the errors of the given keys of a match, or of a search, that is not made."""
    unused = {"match_length"} if settings.match == "parameters" else set()
    unused |= {*_NEEDS} - {"tune_seeds"} if settings.match is None else set()
    unused |= {"tune_seeds"} if settings.tune is None else set()
    return {
        key: UserError(f"{key}={quote(value)}: without {_NEEDS[key]} it has no effect; add that, or leave it out")
        for key, value in given.items()
        if key in unused and value is not None
    }
