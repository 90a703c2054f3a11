"""List the choices and settings of a run beside their defaults. No torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import yaml

from softlookup.config.catalog import CONF, INSTANTIATION_KEYS, contents, groups
from softlookup.config.settings import explanations

UNKNOWN = object()  # a key without a default: a digest of data, a table of tuned values
_REFERENCE = re.compile(r"\$\{([\w.]+)\}")
_HIDDEN = INSTANTIATION_KEYS | {"_partial_"}


def beside_defaults(choices: Mapping[str, Any], settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return key, value, default (as text; "" where there is none) and `differs` of each choice and setting.

    A default is the one that the files of conf/ give now; the choice of a group decides which file.
    """
    chosen = [(key, value, _default_choices().get(key, UNKNOWN)) for key, value in choices.items() if "." not in key]
    rest = [
        (key, value, _default(key, choices, settings))
        for key, value in settings.items()
        if not _HIDDEN & set(key.split("."))
    ]
    listed = {key for key, _, _ in rest}
    return [
        {
            "key": key,
            "value": _text(value),
            "default": "" if default is UNKNOWN else _text(default),
            "differs": default is not UNKNOWN and _text(value) != _text(default),
        }
        for key, value, default in [*(one for one in chosen if one[0] not in listed), *rest]
    ]


def _text(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


@cache
def _default_choices() -> dict[str, Any]:
    """Return the default choice of each group, from conf/train.yaml."""
    entries = yaml.safe_load((CONF / "train.yaml").read_text(encoding="utf-8"))["defaults"]
    return {key: value for entry in entries if isinstance(entry, dict) for key, value in entry.items()}


@cache
def _known() -> dict[str, list[str]]:
    return groups()


def _content(group: str, choices: Mapping[str, Any]) -> dict[str, Any]:
    """Return the file of the choice of a group; empty for a choice that conf/ does not have now."""
    choice = choices.get(group)
    return contents(group, choice) if choice in _known().get(group, []) else {}


def _default(key: str, choices: Mapping[str, Any], settings: Mapping[str, Any]) -> Any:
    """Return the default of a dotted key: of the setting, or of the file of its choice, with references followed."""
    group, *path = key.split(".")
    if not path:
        return explanations().get(key, (UNKNOWN,))[0]
    found: Any = _content(group, choices)
    for part in path:
        part_of = _REFERENCE.fullmatch(found) if isinstance(found, str) else None
        if part_of:
            found = _content(part_of[1], choices)
        found = found.get(part, UNKNOWN) if isinstance(found, dict) else UNKNOWN
    reference = _REFERENCE.fullmatch(found) if isinstance(found, str) else None
    if reference:
        return settings.get(reference[1], UNKNOWN)
    return UNKNOWN if isinstance(found, str) and "${" in found else found
