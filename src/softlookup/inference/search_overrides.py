"""Apply the command line's search settings to those of a finished run."""

from __future__ import annotations

from typing import Any

from softlookup.config.build import build
from softlookup.config.catalog import no_such_key
from softlookup.config.command_line import value_of
from softlookup.config.components import check_part, part_of
from softlookup.config.resolve import composed
from softlookup.config.run_config import RunConfig
from softlookup.search.search import Search


def search_of(config: RunConfig, overrides: dict[str, str]) -> Search:
    """Build the search of a run's config, changed by `overrides`. Raises UserError as `chosen` does."""
    search: Search = build(chosen(config, overrides))
    return search


def chosen(config: RunConfig, overrides: dict[str, str]) -> dict[str, Any]:
    """Return the search of a run's config as a part, changed by `overrides` (search=NAME, search.KEY=VALUE).

    The run's other settings of its search are kept; another search starts from its defaults. Raises UserError for an
    unknown search, an unknown key, and a value that does not fit.
    """
    name = overrides.get("search")
    keeps = name in (None, config.choices.get("search"))
    node = dict((config if keeps else composed([f"search={name}"])).parts["search"])
    for key, value in overrides.items():
        if key != "search":
            if key.partition(".")[2] not in node:
                raise no_such_key(key)
            node[key.partition(".")[2]] = value_of(key, value)
    check_part("search", node, part_of("search"))
    return node
