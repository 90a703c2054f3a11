"""Find keys that no chosen part uses, and values that come from a table of an experiment or a paper.

A part refers to values that are kept elsewhere: an attention to its normalizer, as in `normalizer: ${normalizer}`, an
experiment to its table, as in `rate: ${tuned.${choices.attention}}`. A key that nothing refers to has no effect: it is
rejected, or in a sweep whose other runs use it, dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from softlookup.config.catalog import hosts, leaves, presets, tables
from softlookup.errors import UserError, quote

_INNERMOST = re.compile(r"\$\{([\w.]+)\}")
_NAMES = "choices"  # refers to every group but uses none of them


class References:
    """Hold the keys that the parts of a composed config refer to. `raw` is the config with its interpolations,
    `choices` the names of its choices."""

    def __init__(self, raw: Mapping[str, Any], choices: Mapping[str, Any]) -> None:
        self._raw = raw
        self._choices = choices
        self._hosts, self._tables = hosts(), tables()
        unread = {*self._hosts, *self._tables, *presets(), _NAMES}
        self.paths: set[str] = set()
        self.tuned: list[str] = []
        for key, value in raw.items():
            if key not in unread:
                for path, leaf in leaves(value, key):
                    before = self.paths
                    self.paths = set()
                    self._follow(leaf)
                    if any(found.startswith("tuned.") for found in self.paths):
                        self.tuned.append(path.removesuffix("[]"))
                    self.paths |= before

    def _follow(self, leaf: Any) -> None:
        """Add every path that a value refers to, directly or through other references."""
        for path in self._referred(leaf):
            if path not in self.paths:
                self.paths.add(path)
                for _, below in leaves(self._at(path), path):
                    self._follow(below)

    def _referred(self, leaf: Any) -> Iterator[str]:
        text = leaf if isinstance(leaf, str) else ""
        while found := _INNERMOST.search(text):
            yield found[1]
            # A nested reference is replaced by its value, as in ${tuned.${choices.attention}}.
            text = text[: found.start()] + str(self._at(found[1])) + text[found.end() :]

    def _at(self, path: str) -> Any:
        head, _, rest = path.partition(".")
        value: Any = self._choices if head == _NAMES else self._raw.get(head)
        for key in rest.split(".") if rest else ():
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    def uses(self, key: str) -> bool:
        """Return whether a part reads the value of a table (`tuned.copy.rate`) or the choice of a group
        (`normalizer`)."""
        head = key.partition(".")[0]
        if head in self._hosts:
            return head in self.paths
        if head in self._tables:
            return any(path == key or path.startswith(f"{key}.") or key.startswith(f"{path}.") for path in self.paths)
        return True

    def refusal(self, key: str, value: Any) -> UserError:
        """Return the error for a key without effect; it names the choices that would use the key."""
        given, group = f"{key}={quote(value)}", key.partition(".")[0]
        if group not in self._hosts:
            return UserError(f"{given}: nothing refers to it here; leave it out")
        # A host that nothing refers to, as a mixer beside recurrent parts, is not part of this run.
        offering = {h: names for h, names in self._hosts[group].items() if h not in self._hosts or h in self.paths}
        chosen = [f"{host}={self._choices.get(host)}" for host in offering]
        offer = [f"{host}={choice}" for host, choices in offering.items() for choice in choices]
        return UserError(
            f"{given}: the chosen {' and '.join(offering)} ({' '.join(chosen)}) {'use' if chosen[1:] else 'uses'} no "
            f"{group}; leave it out, or take {' or '.join(offer[:3])}"
        )
