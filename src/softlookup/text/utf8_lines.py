"""Read lines of UTF-8 text from a byte stream, and report invalid lines. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from softlookup.errors import UserError

LONGEST = 1_000_000  # bytes of a line: bounds the memory for a file without line ends


class LineError(UserError):
    """An invalid line. Only this line is lost; reading continues with the next."""


def lines(stream: BinaryIO, name: str) -> Iterator[str | LineError]:
    r"""Yield the lines of UTF-8 text as they arrive, without line ends (only `\n` and `\r\n` are line ends).

    A byte order mark at the start is removed; the last line may lack a line end. An invalid line (not UTF-8, with a NUL
    byte, or longer than `LONGEST`) is yielded as a LineError with `name` and its number; the rest of a line that is too
    long is read only when the next line is requested.
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
                f"{where}: byte {line.index(0) + 1} is NUL; expected UTF-8 text (is it UTF-16, or not text?)"
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
    r"""Decode line `number`, which begins at byte `offset` of the text: without its line end (`\n` or `\r\n`) and, if
    it is the first, without a byte order mark. Raises UserError that begins with `where` for bytes that are not
    UTF-8."""
    try:
        line = content.decode()
    except UnicodeDecodeError as error:
        raise UserError(
            f"{where}: byte {error.start + 1} of the line (offset {offset + error.start} of the text) is not UTF-8 "
            f"({error.reason}); convert it, for example with iconv -t UTF-8"
        ) from error
    line = line.removesuffix("\n").removesuffix("\r") if line.endswith("\n") else line
    return line.removeprefix("\ufeff") if number == 1 else line
