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


def search_of(config: RunConfig, asked: dict[str, str]) -> Search:
    """Build the search of a run's config, with what `asked` changes. Raises UserError as `chosen` does."""
    search: Search = build(chosen(config, asked))
    return search


def chosen(config: RunConfig, asked: dict[str, str]) -> dict[str, Any]:
    """Return the search of a run's config as a part, with what `asked` (search=NAME, search.KEY=VALUE) changes.

    Of the search that the run has by itself the run's other settings stay; another search has its defaults.
    Raises UserError for another search than there is, a key that it does not have, and a value that does not fit.
    """
    name = asked.get("search")
    own = name in (None, config.choices.get("search"))
    node = dict((config if own else composed([f"search={name}"])).parts["search"])
    for key, value in asked.items():
        if key != "search":
            if key.partition(".")[2] not in node:
                raise no_such_key(key)
            node[key.partition(".")[2]] = value_of(key, value)
    check_part("search", node, part_of("search"))
    return node
