"""Rows of tables that hold both languages: TSV, JSONL and parquet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from softlookup.errors import UserError, nearest, told
from softlookup.task.lines import read_lines
from softlookup.task.split import Pair


def tsv(path: Path, languages: tuple[str, str], columns: list[str] | None) -> Iterator[Pair]:
    """Two columns of a file with tabs between its fields, and no quotes: a quotation mark is text.

    The first line names the columns unless `columns` does. Lines are those of `read_lines`. Raises UserError, with file
    and line, for a column that is not there or twice, and for a line with another number of fields.
    """
    lines = enumerate(read_lines(path), 1)
    header = columns if columns is not None else next(lines)[1].split("\t")
    source, target = (_place(language, header, path, columns is None) for language in languages)
    for number, line in lines:
        fields = line.split("\t")
        if len(fields) != len(header):
            raise UserError(
                f"{path}, line {number}: {len(fields)} fields with tabs between them, expected {len(header)} "
                f"({told(', '.join(header))})"
            )
        yield fields[source], fields[target]


def _place(language: str, header: list[str], path: Path, first_line: bool) -> int:
    if header.count(language) != 1:
        where = f"{path}, line 1" if first_line else "task.columns"
        hint = "; task.columns='NAME NAME' names the columns of a file that does not" if first_line else ""
        found = "names no column" if language not in header else "names two columns"
        raise UserError(f"{where} {found} {language}; {nearest(language, map(told, header))}{hint}")
    return header.index(language)


def jsonl(path: Path, languages: tuple[str, str]) -> Iterator[Pair]:
    """Two keys of a JSON object a line; null is a side without words.

    Raises UserError, with file and line, for a line that is no JSON object, and for a value that is no text.
    """
    for number, line in enumerate(read_lines(path), 1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path}, line {number} is no JSON ({told(error)}); expected an object a line") from error
        if not isinstance(row, dict):
            raise UserError(f"{path}, line {number}: expected a JSON object, got {told(line)}")
        source, target = (_text(row, language, f"{path}, line {number}") for language in languages)
        yield source, target


def parquet(path: Path, languages: tuple[str, str]) -> Iterator[Pair]:
    """Two columns of text of a parquet file; null is a side without words.

    Raises UserError, with the file, where it cannot be read or has no such column, and for a row whose value is no
    text.
    """
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    number = 0
    try:
        with ParquetFile(path) as file:
            for language in languages:
                if language not in file.schema_arrow.names:
                    raise UserError(f"{path} has no column {language}; {nearest(language, file.schema_arrow.names)}")
            for batch in file.iter_batches(batch_size=1000, columns=list(languages)):
                for row in batch.to_pylist():
                    number += 1
                    source, target = (_text(row, language, f"{path}, row {number}") for language in languages)
                    yield source, target
    except (ArrowException, OSError, ValueError) as error:
        raise UserError(f"{path} is no whole parquet file ({told(error)}); fetch it again") from error


def _text(row: dict[str, object], language: str, place: str) -> str:
    if language not in row:
        raise UserError(f"{place} has no key {language}; {nearest(language, map(told, row))}")
    return line_of(row[language], f"{place}, {language}")


def line_of(value: object, place: str) -> str:
    """The value, None as no text. Raises UserError for what is no text of one line."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UserError(f"{place}: expected text, got {type(value).__name__} {told(repr(value))}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{place}: character {error.start + 1} is half a character; expected text") from error
    if "\n" in value.strip():
        raise UserError(f"{place}: there is a line break within {told(repr(value))}; expected one line")
    return value
