"""Label the variants of a task with few words that distinguish them. No torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

DATA = "data."
TARGET = "._target_"
CONTINUED = "continued.budget"
_VALUES = {"size", "match", "match_to", "match_length", "match_widths"}  # choices that name no option of a group
_FEWEST_DIGITS = 6
_ABSENT = object()


@dataclass(frozen=True)
class Variant:
    """A variant: its choices on the command line, and all settings that are part of its identity (dotted key to
    value)."""

    choices: Mapping[str, Any]
    settings: Mapping[str, Any]


def labels(variants: Mapping[str, Variant]) -> dict[str, str]:
    """Return a distinct name for each variant of a task, by key.

    A name has the choices of config groups that vary, without those implied by the paper or by other choices in the
    name; then the overridden keys that vary, as `key=value`; then, where names are still equal, a few settings that
    separate them, digests of data last.

    >>> variants = {"a": Variant({"attention": "dot", "budget": 7}, {}), "b": Variant({"attention": "dot"}, {})}
    >>> labels(variants)
    {'a': 'budget=7', 'b': 'dot'}
    """
    shown = _shown(list(variants.values()))
    words = {
        key: [_chosen(name, variant) for name in shown if name in variant.choices] for key, variant in variants.items()
    }
    found = {
        key: " · ".join(words[key]) or str(variant.choices.get("attention", "unknown"))
        for key, variant in variants.items()
    }
    for _ in range(2):  # a name that was extended may equal another one
        for alike in _coinciding(found):
            pieces = _pieces([variants[key].settings for key in alike])
            found |= {key: " · ".join([found[key], *more]) for key, more in zip(alike, pieces, strict=True)}
    for alike in _coinciding(found):
        found |= {key: f"{found[key]} · {key}" for key in alike}
    return found


def _shown(variants: Sequence[Variant]) -> list[str]:
    """Return the choices to use in names, in the order of the command line."""
    names = dict.fromkeys(name for variant in variants for name in variant.choices if name != "task")
    groups = [name for name in names if all(_is_group(name, variant) for variant in variants)]
    kept: list[str] = []
    for name in sorted(groups, key=lambda name: (name != "paper", name != "attention")):
        if _distinct(variants, [*kept, name]) > _distinct(variants, kept):
            kept.append(name)
    return [n for n in names if n in kept or (n not in groups and _distinct(variants, [n]) > 1)]


def _is_group(name: str, variant: Variant) -> bool:
    """Return whether a choice selects an option of a config group, rather than a value (`attention.heads=4`,
    `budget=1000`)."""
    plain = "." not in name and name not in _VALUES and name not in variant.settings
    return plain and isinstance(variant.choices.get(name, ""), str | None)


def _chosen(name: str, variant: Variant) -> str:
    value = variant.choices[name]
    return str(value) if _is_group(name, variant) else f"{name}={value}"


def _distinct(variants: Iterable[Variant], names: Sequence[str]) -> int:
    """Count the distinct combinations of these choices."""
    return len({tuple(repr(variant.choices.get(name, _ABSENT)) for name in names) for variant in variants})


def _coinciding(found: Mapping[str, str]) -> list[list[str]]:
    """Return groups of variant keys with equal names."""
    several = [name for name, count in Counter(found.values()).items() if count > 1]
    return [[key for key, name in found.items() if name == shared] for shared in several]


def _pieces(settings: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return, for each of several settings, the words that separate it from the others."""
    names = _separating(settings)
    digests = {name: _digits([str(each.get(name, "")) for each in settings]) for name in names if name.startswith(DATA)}
    return [[_piece(name, each.get(name, _ABSENT), digests.get(name)) for name in names] for each in settings]


def _separating(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Choose a few keys that separate all settings, greedily: each time the key that separates most, ties: the shortest
    name; digests of data only where no other key separates more."""

    def blocks(names: Sequence[str]) -> int:
        return len({tuple(repr(each.get(name, _ABSENT)) for name in names) for each in settings})

    names = sorted({name for each in settings for name in each}, key=lambda name: (len(name), name))
    varying = [name for name in names if blocks([name]) > 1]
    found: list[str] = []
    for digests in (False, True):
        pool = [name for name in varying if name.startswith(DATA) == digests]
        # Training data first: naming only another test set would suggest that the model is the same.
        pool.sort(key=lambda name: name != f"{DATA}train")
        while pool:
            best = max(pool, key=lambda name: blocks([*found, name]))
            if blocks([*found, best]) == blocks(found):
                break
            found.append(best)
    return found


def _digits(digests: Sequence[str]) -> int:
    """Return the number of leading digits that distinguish the digests."""
    longest = max(map(len, digests))
    distinct = len(set(digests))
    return next((n for n in range(_FEWEST_DIGITS, longest) if len({d[:n] for d in digests}) == distinct), longest)


def _piece(name: str, value: Any, digits: int | None) -> str:
    if name == CONTINUED:
        return "in one go" if value is _ABSENT else f"continued at {value}"
    if value is _ABSENT:
        return f"no {name.removesuffix(TARGET)}"
    if name.endswith(TARGET):
        return f"{name.removesuffix(TARGET)}={str(value).rpartition('.')[2]}"
    return f"{name}={str(value)[:digits]}"
