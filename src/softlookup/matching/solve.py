"""Solve the widths of a run so that it costs what a reference costs.

A width has one free factor: the widths that are solved keep the proportion that the config gives them, rounded to whole
numbers. The cost grows with the factor, so that bisection finds the two models around the cost of the reference, and
the nearer one is taken. Widths for which the parts do not fit together (a score that needs equal widths, a number of
heads that does not divide a width) are skipped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from softlookup.config.run_config import UNITS, Matched, RunConfig
from softlookup.errors import UserError, quote
from softlookup.inference.initial_weights import origin_of, task_of
from softlookup.matching.price import price
from softlookup.runs.run_id import variant_key

FURTHEST = 4  # widths are solved from a quarter of those of the config to four times them
TOLERANCE = 0.01  # largest residual that is not reported
_MOST = 65_536  # of any width (`ranges.Size`)


def solve_all(configs: Sequence[RunConfig], send: Callable[[list[RunConfig]], None]) -> None:
    """Pass the configs with solved widths to `send`; equal variants and equal tasks are solved and built once."""
    solver = Solver()
    send([solver.solved(config) for config in configs])


class Solver:
    """Solve the widths of runs, each variant once."""

    def __init__(self) -> None:
        self._vocabularies: dict[str, tuple[int, int]] = {}
        self._found: dict[tuple[Any, ...], tuple[dict[str, int], Matched] | None] = {}

    def solved(self, config: RunConfig) -> RunConfig:
        """Return the config with solved widths, and the record of them; unchanged without a match, or if it is that of
        the reference itself.

        Raises UserError for keys that are no widths of the config, parts that do not fit together, and a cost that no
        width within a quarter and four times those of the config reaches.
        """
        reference, settings = config.reference, config.settings
        if reference is None:
            return config
        key = (
            variant_key(config),
            variant_key(reference),
            settings.match,
            settings.match_length,
            settings.match_widths,
        )
        if key not in self._found:
            _configured(config)  # keys that are no widths are refused for the reference itself, too
            self._found[key] = None if key[0] == key[1] else self._solve(config, reference)
        found = self._found[key]
        if found is None:
            return replace(config, reference=None)
        widths, matched = found
        return replace(_with_widths(config, widths), reference=None, matched=matched)

    def _solve(self, config: RunConfig, reference: RunConfig) -> tuple[dict[str, int], Matched]:
        settings = config.settings
        kind, length = str(settings.match), settings.match_length if settings.match != "parameters" else None
        vocabularies = self._sizes(config)
        try:
            target = price(reference, kind, length, vocabularies)
        except UserError as error:
            raise UserError(f"match_to={settings.match_to}: {error}") from error
        if target == 0:
            raise UserError(f"match_to={settings.match_to}: its {kind} is 0, which no width reaches; name another one")
        ray = _Ray(_configured(config), lambda widths: price(_with_widths(config, widths), kind, length, vocabularies))
        best = ray.nearest(target)
        if best is None:
            price(config, kind, length, vocabularies)  # raises the reason
            raise UserError(f"match={kind}: no widths fit together near {_shown(ray.configured)}")
        widths = ray.widths(best)
        matched = Matched(
            kind, str(settings.match_to), variant_key(reference), length, ray.configured, widths,
            ray.cost(best) or 0, target,
        )  # fmt: skip
        if ray.out_of_reach(target) and abs(matched.residual) > TOLERANCE:
            raise _unreachable(config, matched)
        return widths, matched

    def _sizes(self, config: RunConfig) -> tuple[int, int]:
        """Return the sizes of both vocabularies of a run."""
        key = json.dumps([config.parts["task"], config.settings.init_from], sort_keys=True)
        if key not in self._vocabularies:
            task = task_of(config, origin_of(config))
            self._vocabularies[key] = (len(task.source_vocabulary), len(task.target_vocabulary))
        return self._vocabularies[key]


@dataclass
class _Ray:
    """Hold the models whose widths keep the proportion of the configured ones. `n` is the largest width of a model;
    `measure` returns the cost of a model by its widths, or raises UserError if its parts do not fit together."""

    configured: dict[str, int]
    measure: Callable[[dict[str, int]], int]

    def __post_init__(self) -> None:
        self.middle = max(self.configured.values())
        self.ends = -(-self.middle // FURTHEST), min(self.middle * FURTHEST, _MOST)
        self._costs: dict[int, int | None] = {}

    def widths(self, n: int) -> dict[str, int]:
        return {key: max(1, round(width * n / self.middle)) for key, width in self.configured.items()}

    def cost(self, n: int) -> int | None:
        """Return the cost, None if the parts do not fit together."""
        if n not in self._costs:
            try:
                self._costs[n] = self.measure(self.widths(n))
            except UserError:
                self._costs[n] = None
        return self._costs[n]

    def nearest(self, target: int) -> int | None:
        """Return the n whose cost is nearest to the target, of equal ones the nearest to the configured one; None if
        nothing fits together."""
        found = [self.middle]
        low, high = self.ends
        while low <= high and self.cost(self.middle) != target:
            middle = (low + high) // 2
            n = next((each for each in range(middle, high + 1) if self.cost(each) is not None), None)
            cost = None if n is None else self.cost(n)
            if n is None or cost is None:
                high = middle - 1
                continue
            found.append(n)
            if cost >= target:
                high = middle - 1
            else:
                low = n + 1
        costs = {n: cost for n in found if (cost := self.cost(n)) is not None}
        return min(costs, key=lambda n: (abs(costs[n] - target), abs(n - self.middle)), default=None)

    def out_of_reach(self, target: int) -> bool:
        """Return whether all models cost less than the target, or all more."""
        known = {n: cost for n, cost in self._costs.items() if cost is not None}
        return max(known.values()) < target or min(known.values()) > target


def _configured(config: RunConfig) -> dict[str, int]:
    """Return the widths to solve, by key. Raises UserError for a key that is no whole number of a part."""
    named = config.settings.match_widths
    parts = [config.parts[group] for group in ("encoder", "decoder")]
    inner = config.settings.match != "state" and all("feed_forward" in part for part in parts)
    default = "feed_forward" if inner else "width"
    keys = named.split("+") if named else [f"encoder.{default}", f"decoder.{default}"]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise UserError(f"match_widths={quote(named)}: {twice} is named twice; leave one out")
    found = {key: _at(config.parts, key) for key in keys}
    for key, value in found.items():
        if type(value) is not int:  # true and false are no widths
            offer = [f"{group}.{name}" for group in ("encoder", "decoder") for name in config.parts[group]]
            widths = [name for name in offer if type(_at(config.parts, name)) is int]
            raise UserError(
                f"match_widths={quote(named)}: {key} is no width of this run "
                f"(attention={config.choices.get('attention')}); widths are, among others, {', '.join(widths)}"
            )
    return found


def _at(node: Any, key: str) -> Any:
    for name in key.split("."):
        node = node.get(name) if isinstance(node, Mapping) else None
    return node


def _with_widths(config: RunConfig, widths: Mapping[str, int]) -> RunConfig:
    parts: dict[str, Any] = dict(config.parts)
    for key, width in widths.items():
        group, _, rest = key.partition(".")
        parts[group] = _set(parts[group], rest.split("."), width)
    return replace(config, parts=parts)


def _set(node: Mapping[str, Any], path: Sequence[str], value: int) -> dict[str, Any]:
    return {**node, path[0]: value if len(path) == 1 else _set(node[path[0]], path[1:], value)}


def _unreachable(config: RunConfig, best: Matched) -> UserError:
    side = "at most" if best.value < best.target else "at least"
    where = f" at source length {best.length}" if best.length is not None else ""
    times = f", {best.target / best.value:.3g} times as many" if best.value else ""
    return UserError(
        f"match={best.cost}: attention={config.choices.get('attention')} has {side} {best.value:,} "
        f"{UNITS[best.cost]}{where}, "
        f"with {_shown(best.widths)} ({_shown(best.configured)} in the config; tried from a quarter to "
        f"{FURTHEST} times that); {best.to} has {best.target:,}{times}; "
        f"name other widths (match_widths=KEY or KEY+KEY), or set these nearer, or leave this attention out"
    )


def _shown(widths: Mapping[str, int]) -> str:
    return " ".join(f"{key}={width}" for key, width in widths.items())
