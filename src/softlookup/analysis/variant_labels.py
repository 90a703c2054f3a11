"""Label the variants of a task with the fewest words that distinguish them. No torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

DATA = "data."
TARGET = "._target_"
CONTINUED = "continued.budget"
_FEWEST_DIGITS = 6
_ABSENT = object()


@dataclass(frozen=True)
class Variant:
    """Hold what is known of a variant: the choices that were made, and all settings that count (dotted key to
    value)."""

    choices: Mapping[str, Any]
    settings: Mapping[str, Any]


def labels(variants: Mapping[str, Variant]) -> dict[str, str]:
    """Name each variant of a task, by key, so that no two have the same name.

    A name is made of the choices of groups that vary, without those that the paper or other choices in the name imply;
    then of the keys that were overridden and vary, as `key=value`; then, where names still coincide, of few settings
    that separate them, digests of data last.

    >>> made = {"a": Variant({"attention": "dot", "budget": 7}, {}), "b": Variant({"attention": "dot"}, {})}
    >>> labels(made)
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
    for _ in range(2):  # what separates some may give one of them the name of another
        for alike in _coinciding(found):
            pieces = _pieces([variants[key].settings for key in alike])
            found |= {key: " · ".join([found[key], *more]) for key, more in zip(alike, pieces, strict=True)}
    for alike in _coinciding(found):
        found |= {key: f"{found[key]} · {key}" for key in alike}
    return found


def _shown(variants: Sequence[Variant]) -> list[str]:
    """Return the choices that names are made of, in the order in which runs give them."""
    names = dict.fromkeys(name for variant in variants for name in variant.choices if name != "task")
    groups = [name for name in names if all(_is_group(name, variant) for variant in variants)]
    kept: list[str] = []
    for name in sorted(groups, key=lambda name: (name != "paper", name != "attention")):
        if _told_apart(variants, [*kept, name]) > _told_apart(variants, kept):
            kept.append(name)
    return [n for n in names if n in kept or (n not in groups and _told_apart(variants, [n]) > 1)]


def _is_group(name: str, variant: Variant) -> bool:
    """Say whether a choice is that of a part by its name, and not a value (`attention.heads=4`, `budget=1000`)."""
    plain = "." not in name and name != "size" and name not in variant.settings
    return plain and isinstance(variant.choices.get(name, ""), str | None)


def _chosen(name: str, variant: Variant) -> str:
    value = variant.choices[name]
    return str(value) if _is_group(name, variant) else f"{name}={value}"


def _told_apart(variants: Iterable[Variant], names: Sequence[str]) -> int:
    """Count the variants that these choices tell apart."""
    return len({tuple(repr(variant.choices.get(name, _ABSENT)) for name in names) for variant in variants})


def _coinciding(found: Mapping[str, str]) -> list[list[str]]:
    """Return the keys of variants that share their name, by name."""
    several = [name for name, count in Counter(found.values()).items() if count > 1]
    return [[key for key, name in found.items() if name == shared] for shared in several]


def _pieces(settings: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """For each of some settings, the words that separate it from the others."""
    names = _separating(settings)
    digests = {name: _digits([str(own.get(name, "")) for own in settings]) for name in names if name.startswith(DATA)}
    return [[_piece(name, own.get(name, _ABSENT), digests.get(name)) for name in names] for own in settings]


def _separating(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Few keys that separate all settings that can be separated: each time the one that separates most, and of equals
    the one with the shortest name; data only where nothing else separates more."""

    def blocks(names: Sequence[str]) -> int:
        return len({tuple(repr(own.get(name, _ABSENT)) for name in names) for own in settings})

    names = sorted({name for own in settings for name in own}, key=lambda name: (len(name), name))
    varying = [name for name in names if blocks([name]) > 1]
    found: list[str] = []
    for digests in (False, True):
        pool = [name for name in varying if name.startswith(DATA) == digests]
        # Where training differs, that is what to say: another test set would read as the same model.
        pool.sort(key=lambda name: name != f"{DATA}train")
        while pool:
            best = max(pool, key=lambda name: blocks([*found, name]))
            if blocks([*found, best]) == blocks(found):
                break
            found.append(best)
    return found


def _digits(digests: Sequence[str]) -> int:
    """Return how many first digits keep digests apart."""
    longest = max(map(len, digests))
    apart = len(set(digests))
    return next((n for n in range(_FEWEST_DIGITS, longest) if len({own[:n] for own in digests}) == apart), longest)


def _piece(name: str, value: Any, digits: int | None) -> str:
    if name == CONTINUED:
        return "in one go" if value is _ABSENT else f"continued at {value}"
    if value is _ABSENT:
        return f"no {name.removesuffix(TARGET)}"
    if name.endswith(TARGET):
        return f"{name.removesuffix(TARGET)}={str(value).rpartition('.')[2]}"
    return f"{name}={str(value)[:digits]}"
