"""Read lines of UTF-8 text from a byte stream, and report those that are invalid. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from softlookup.errors import UserError

LONGEST = 1_000_000  # bytes of a line: a file without ends of lines is not read whole to find that out


class LineError(UserError):
    """Why one line cannot be used. It costs itself, and no other line."""


def lines(stream: BinaryIO, name: str) -> Iterator[str | LineError]:
    r"""Yield the lines of UTF-8 text as they come, without their ends, which are `\n` or `\r\n` alone.

    A byte order mark at the start is removed, and the last line needs no end. A line of bytes that are no UTF-8, with
    a NUL byte, or longer than `LONGEST` is given as what to say of it, with `name` and its number; of the last its rest
    is left unread until the next line is asked for.
    """
    number = offset = 0
    while line := stream.readline(LONGEST + 1):
        number += 1
        where = f"{name}, line {number}"
        if len(line) > LONGEST:
            yield LineError(f"{where}: longer than {LONGEST:,} bytes; expected one sentence per line")
            while line and not line.endswith(b"\n"):
                offset += len(line)
                line = stream.readline(LONGEST)
        elif b"\0" in line:
            yield LineError(
                f"{where}: byte {line.index(0) + 1} is NUL; expected UTF-8 text (is it UTF-16, or no text?)"
            )
        else:
            yield _line_of(line, number, where, offset)
        offset += len(line)


def _line_of(content: bytes, number: int, where: str, offset: int) -> str | LineError:
    try:
        return line_of(content, number, where, offset)
    except UserError as error:
        return LineError(str(error))


def line_of(content: bytes, number: int, where: str, offset: int) -> str:
    r"""Return the text of line `number`, `offset` bytes behind the start, without its end (`\n` or `\r\n`) and, of the
    first, without a byte order mark. Raises UserError, with `where` the line is, for bytes that are no UTF-8."""
    try:
        line = content.decode()
    except UnicodeDecodeError as error:
        raise UserError(
            f"{where}: byte {error.start + 1} of the line (offset {offset + error.start} of the text) is not UTF-8 "
            f"({error.reason}); convert it, for example with iconv -t UTF-8"
        ) from error
    line = line.removesuffix("\n").removesuffix("\r") if line.endswith("\n") else line
    return line.removeprefix("\ufeff") if number == 1 else line
