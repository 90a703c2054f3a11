"""Find keys that no chosen part uses, and values that come from an experiment's `tuned` table.

A part refers to values that are kept elsewhere, as in `width: ${sizes.alignment}`. A key that nothing refers to does
nothing: it is refused, or leaves no trace in a sweep in which other runs use it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from softlookup.config.catalog import CONF, PRESETS, SCAFFOLDING, groups, leaves
from softlookup.errors import UserError, quote

# Groups whose choice a run does not read itself: a part of another group refers to it.
INSIDE = {"attention": ("normalizer", "window"), "task": ("segmentation",)}
HOSTS = {inside: host for host, parts in INSIDE.items() for inside in parts}
_INNERMOST = re.compile(r"\$\{([\w.]+)\}")
_NAMES = {"choices"}  # refers to every group, and uses none


class References:
    """Hold what the parts of a composed config refer to. `raw` is the config with its interpolations, `choices` the
    names of its choices."""

    def __init__(self, raw: Mapping[str, Any], choices: Mapping[str, Any]) -> None:
        self._raw = raw
        self._choices = choices
        self.paths: set[str] = set()
        self.tuned: list[str] = []
        for key, value in raw.items():
            if key not in {*HOSTS, *SCAFFOLDING, *_NAMES}:
                for path, leaf in leaves(value, key):
                    before = self.paths
                    self.paths = set()
                    self._follow(leaf)
                    if any(found.startswith("tuned.") for found in self.paths):
                        self.tuned.append(path.removesuffix("[]"))
                    self.paths |= before

    def _follow(self, leaf: Any) -> None:
        """Add every path that a value refers to, and those that these refer to."""
        for path in self._referred(leaf):
            if path not in self.paths:
                self.paths.add(path)
                for _, below in leaves(self._at(path), path):
                    self._follow(below)

    def _referred(self, leaf: Any) -> Iterator[str]:
        text = leaf if isinstance(leaf, str) else ""
        while found := _INNERMOST.search(text):
            yield found[1]
            # Within another reference it stands for its value, as in ${tuned.${choices.attention}}.
            text = text[: found.start()] + str(self._at(found[1])) + text[found.end() :]

    def _at(self, path: str) -> Any:
        head, _, rest = path.partition(".")
        value: Any = self._choices if head == "choices" else self._raw.get(head)
        for key in rest.split(".") if rest else ():
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    def uses(self, key: str) -> bool:
        """Say whether a part reads the key (`sizes.alignment`) or the choice of the group (`normalizer`)."""
        head = key.partition(".")[0]
        if head in HOSTS:
            return head in self.paths
        if head in SCAFFOLDING - {"size", *PRESETS}:
            return any(path == key or path.startswith(f"{key}.") or key.startswith(f"{path}.") for path in self.paths)
        return True

    def refusal(self, key: str, value: Any) -> UserError:
        """Explain that a key does nothing here, and name the keys and choices that would."""
        given = f"{key}={quote(value)}"
        head, _, last = key.rpartition(".")
        if key.partition(".")[0] in HOSTS:
            group = key.partition(".")[0]
            host = HOSTS[group]
            return UserError(
                f"{given}: the chosen {host} ({host}={self._choices.get(host)}) uses no {group}; leave it out, or take "
                f"{' or '.join(_referring(group, host)[:3])}"
            )
        same = [
            f"{group}.{name}={quote(value)}"
            for group, part in self._raw.items()
            if isinstance(part, Mapping) and group in groups() and group not in HOSTS
            for name, held in part.items()
            if name == last and group not in PRESETS and _alike(held, value)
        ]
        others = [] if head == "tuned" else _referring(key)
        if same:
            return UserError(f"{given}: no chosen part uses it; write {' or '.join(same)}")
        if others:
            return UserError(f"{given}: no chosen part uses it; these do: {', '.join(others)}")
        return UserError(f"{given}: nothing refers to it here; leave it out")


def _alike(held: Any, value: Any) -> bool:
    """Say whether a key that holds one value could hold the other: a file's name is no width."""
    number = isinstance(value, int | float)
    return isinstance(held, int | float) == number or (isinstance(held, str) and (not number or held[:2] == "${"))


def _referring(path: str, *hosts: str) -> list[str]:
    """Choices, as `group=name`, whose files refer to a path."""
    return [
        f"{group}={name}"
        for group, names in groups().items()
        if group not in PRESETS and (not hosts or group in hosts)
        for name in names
        if f"${{{path}}}" in (CONF / group / f"{name}.yaml").read_text(encoding="utf-8")
    ]
