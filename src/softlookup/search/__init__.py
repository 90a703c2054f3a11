"""Search for the most probable targets: greedily, or with a beam."""

from softlookup.search.search import Search

__all__ = ["Search"]
