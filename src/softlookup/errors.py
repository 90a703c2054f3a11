"""Report mistakes to users: what was given, what was expected, what to type next."""

import shlex
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches

_LONGEST = 200  # characters of a value in a message


class UserError(Exception):
    """Report a mistake in the input, in one or two lines and without a traceback."""


class Stopped(BaseException):
    """Stop the run or the sweep on a signal. It is no failure: the same command continues from there.

    Like KeyboardInterrupt it does not derive from Exception, so that no handler on the way up treats it as an error.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    def __str__(self) -> str:
        return f"stopped by {signal.Signals(self.number).name}"


@contextmanager
def needed_by(given: str) -> Iterator[None]:
    """Report an import within the block that fails because a package is not installed, as a UserError that names it and
    what needs it.

    >>> with needed_by("sparsemax"):
    ...     raise ModuleNotFoundError(name="entmax.losses")
    Traceback (most recent call last):
    softlookup.errors.UserError: sparsemax needs the package entmax, which is not installed; pip install entmax
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "softlookup"):
            raise
        raise UserError(
            f"{given} needs the package {package}, which is not installed; pip install {package}"
        ) from error


def quote(value: object) -> str:
    """Format a value for a message of one line; control characters are escaped and long values cut.

    >>> quote("a\\nb"), quote("é")
    ("'a\\\\nb'", 'é')
    """
    text = str(value)
    text = text if text.isprintable() else ascii(text)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def shell_quote(path: object) -> str:
    """Quote a path, or another word, for a shell.

    >>> shell_quote("runs/x"), shell_quote("my runs")
    ('runs/x', "'my runs'")
    """
    return shlex.quote(str(path))


def nearest(given: str, valid: Iterable[str], prefix: str = "") -> str:
    """Suggest the valid words nearest to `given`, or list all of them if none is near.

    >>> nearest("addditive", ["additive", "dot"])
    'did you mean additive?'
    >>> nearest("xyz", ["additive", "dot"])
    'valid: additive, dot'
    """
    words = sorted(valid)
    close = get_close_matches(given, words, n=3, cutoff=0.6)
    named = [prefix + word for word in close or words]
    return f"did you mean {' or '.join(named)}?" if close else f"valid: {', '.join(named)}"


def key_values(arguments: Iterable[str], keys: Iterable[str]) -> dict[str, str]:
    """Parse the arguments of a command that takes KEY=VALUE only. Raises UserError for any other argument or key.

    >>> key_values(["runs_dir=runs"], ["runs_dir", "output"])
    {'runs_dir': 'runs'}
    """
    known, given = list(keys), {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if key in known and equals and not value:
            raise UserError(f"{argument}: the value is missing")
        if key not in known or not equals:
            raise UserError(f"{argument!r}: expected KEY=VALUE; {nearest(key, known)}")
        given[key] = value
    return given
