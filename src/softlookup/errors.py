"""Report mistakes to people: what was given, what was expected, what to type next."""

import shlex
import signal
from collections.abc import Iterable
from difflib import get_close_matches

_TOLD = 200  # characters of a value that a message repeats


class UserError(Exception):
    """A mistake in what was asked for, told in one or two lines and never as a traceback."""


class Stopped(BaseException):
    """A signal asked the run or the sweep to stop: no failure, since the same command goes on from where it was.

    Like KeyboardInterrupt it is no Exception: nothing on its way up may take it for an error that can be survived.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    def __str__(self) -> str:
        return f"stopped by {signal.Signals(self.number).name}"


def quote(value: object) -> str:
    """Return a value as it can stand in a message of one line, whatever characters it has.

    >>> quote("a\\nb"), quote("é")
    ("'a\\\\nb'", 'é')
    """
    text = str(value)
    text = text if text.isprintable() else ascii(text)
    return text if len(text) <= _TOLD else f"{text[:_TOLD]}…"


def typed(path: object) -> str:
    """Return a path, or another word, as a person types it into a shell.

    >>> typed("runs/x"), typed("my runs")
    ('runs/x', "'my runs'")
    """
    return shlex.quote(str(path))


def nearest(given: str, valid: Iterable[str]) -> str:
    """Return a sentence that names the valid words nearest to `given`, or all of them when none is near.

    >>> nearest("addditive", ["additive", "dot"])
    'did you mean additive?'
    >>> nearest("xyz", ["additive", "dot"])
    'valid: additive, dot'
    """
    words = sorted(valid)
    close = get_close_matches(given, words, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(close)}?" if close else f"valid: {', '.join(words)}"


def key_values(arguments: Iterable[str], keys: Iterable[str]) -> dict[str, str]:
    """Return the words of a verb that takes KEY=VALUE alone. Raises UserError for another word, or a key it does not
    know.

    >>> key_values(["runs_dir=runs"], ["runs_dir", "output"])
    {'runs_dir': 'runs'}
    """
    known, given = list(keys), {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if key in known and equals and not value:
            raise UserError(f"{argument}: a value is missing behind it")
        if key not in known or not equals:
            raise UserError(f"{argument!r}: expected KEY=VALUE; {nearest(key, known)}")
        given[key] = value
    return given
