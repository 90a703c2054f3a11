"""Errors that are for people: what was given, what was expected, what to type next."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """A mistake in what was asked for, told in one or two lines and never as a traceback."""


def nearest(given: str, valid: Iterable[str]) -> str:
    """A sentence that names the valid words nearest to `given`, or all of them when none is near.

    >>> nearest("addditive", ["additive", "dot"])
    'did you mean additive?'
    >>> nearest("xyz", ["additive", "dot"])
    'valid: additive, dot'
    """
    words = sorted(valid)
    close = get_close_matches(given, words, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(close)}?" if close else f"valid: {', '.join(words)}"
