"""Read text files line by line, and two line-aligned files side by side."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from softlookup.errors import UserError
from softlookup.task.split import Pair
from softlookup.text.utf8_lines import line_of


def read_lines(path: Path) -> Iterator[str]:
    r"""Yield the lines of a UTF-8 file, plain or gzip (`.gz`), without line ends, one at a time.

    Lines end with `\n` or `\r\n` only: U+2028, NEL and VT stay inside a line. A byte order mark at the start of the
    file is removed; the last line may lack a line end. Raises UserError, with the file and the line, for a file that
    is missing, empty, broken gzip or invalid UTF-8.
    """
    number = offset = 0
    try:
        with _opened(path) as file:
            for content in file:
                number += 1
                line = line_of(content, number, f"{path}, line {number}", offset)
                offset += len(content)
                if line or content.endswith(b"\n"):
                    yield line
                else:  # only a byte order mark
                    number = 0
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{path} is not a complete gzip file ({error}); fetch it again, or give it plain") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from error
    if not number:
        raise UserError(f"{path} is empty; expected one sentence per line")


def _opened(path: Path) -> IO[bytes]:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def aligned(source: Path, target: Path) -> Iterator[Pair]:
    """Yield the lines of two files in parallel. Raises UserError where the numbers of lines differ."""
    sides = read_lines(source), read_lines(target)
    count = 0
    while True:
        one, other = (next(side, None) for side in sides)
        if one is None or other is None:
            break
        count += 1
        yield one, other
    if one is not other:  # one file has more lines
        counts = [
            count + (line is not None) + sum(1 for _ in side) for line, side in zip((one, other), sides, strict=True)
        ]
        raise UserError(
            f"{source} has {counts[0]} lines and {target} has {counts[1]} lines; "
            "line-aligned files have one translation per line"
        )
