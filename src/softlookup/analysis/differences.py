"""List the settings in which two variants differ. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

AXIS = "attention."  # settings of the attention axis; a normalizer and a window lie below it
_ABSENT = object()
_MATCH = ("cost", "length", "reference", "configured")  # equal for all variants of one match


def differing(one: Mapping[Any, Any], other: Mapping[Any, Any]) -> list[str]:
    """List the settings in which two variants differ, except the attention axis and the keys tuned for either of them.

    Each variant has `settings` (dotted key to value) and `tuned` (the keys that the experiment tuned per variant).
    Widths that `match` solved count as those of the config, from which they follow with the attention; `match` is
    listed unless both variants reach the cost of one reference, or one of them is the reference.
    """
    return [name for name in differing_at_all(one, other) if not name.startswith(AXIS)]


def differing_at_all(one: Mapping[Any, Any], other: Mapping[Any, Any]) -> list[str]:
    """List all settings in which two variants differ, except the keys tuned for either of them."""
    tuned = {*one["tuned"], *other["tuned"]}
    mine, theirs = (each["settings"] | each["matched"].get("configured", {}) for each in (one, other))
    names = sorted({*mine, *theirs} - tuned)
    found = [name for name in names if mine.get(name, _ABSENT) != theirs.get(name, _ABSENT)]
    return found if _cost_alike(one, other) else [*found, "match"]


def _cost_alike(one: Mapping[Any, Any], other: Mapping[Any, Any]) -> bool:
    """Return whether two variants were matched to one reference alike, or not matched at all, or one to the other."""
    mine, theirs = one["matched"], other["matched"]
    if mine and theirs:
        return all(mine.get(name) == theirs.get(name) for name in _MATCH)
    reference = (mine or theirs).get("reference")
    return not (mine or theirs) or reference == (other if mine else one)["variant_key"]
