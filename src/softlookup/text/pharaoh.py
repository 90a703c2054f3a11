"""Read and write word alignments in the Pharaoh format.

    0-0 1-2 2?1        word 0 of the source with word 0 of the target, 1 with 2; and possibly 2 with 1

One line per sentence pair, links separated by blanks, **source before target, both counted from 0**. `i-j` is a sure
link, `i?j` (in some files `ipj`) a possible one. A file does not say whether it counts from 1: subtract one first where
it does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from softlookup.errors import UserError, quote

Links = frozenset[tuple[int, int]]  # (source word, target word)

_LINK = re.compile(r"([0-9]{1,6})([-?p])([0-9]{1,6})", re.ASCII)


@dataclass(frozen=True)
class Gold:
    """Links of one sentence pair; `possible` includes the sure ones."""

    sure: Links
    possible: Links


def parsed(line: str, where: str) -> Gold:
    """Parse the links of one line; an empty line has none. Raises UserError that begins with `where`."""
    sure, possible = set(), set()
    for word in line.split():
        found = _LINK.fullmatch(word)
        if found is None:
            raise UserError(f"{where}: {quote(word)!r} is not a link; expected i-j (sure) or i?j (possible), from 0")
        link = (int(found[1]), int(found[3]))
        possible.add(link)
        if found[2] == "-":
            sure.add(link)
    return Gold(frozenset(sure), frozenset(possible))


def read(path: Path) -> list[Gold]:
    r"""Read the links of every line of a file; lines end with `\n` or `\r\n`, which the last one may lack.

    Raises UserError with the file and, for an error in the content, the line.
    """
    try:
        content = path.read_bytes().decode("ascii")
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}, line {line}: links are digits, blanks and -, ? or p; got another byte") from error
    lines = content.removesuffix("\n").split("\n") if content else []
    return [parsed(line, f"{path}, line {number}") for number, line in enumerate(lines, start=1)]


def check(gold: Gold, source: int, target: int, where: str) -> None:
    """Raise UserError, which begins with `where`, for a link outside the `source` and `target` word counts."""
    for i, j in sorted(gold.possible):
        if i >= source or j >= target:
            raise UserError(
                f"{where}: link {i}-{j} of a pair with {source} source and {target} target words; links are "
                "source-target and count words, apart by blanks, from 0"
            )


def written(links: Iterable[tuple[int, int]]) -> str:
    """Format links as one line, sorted by source word, then target word.

    >>> written({(1, 2), (0, 0)})
    '0-0 1-2'
    """
    return " ".join(f"{source}-{target}" for source, target in sorted(links))
