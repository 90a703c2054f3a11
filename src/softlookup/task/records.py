"""Read tables that hold both languages: TSV, JSONL and parquet."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from softlookup.errors import UserError, nearest, needed_by, quote
from softlookup.task.lines import read_lines
from softlookup.task.split import TRANSLATION, Pair


def tsv(path: Path, languages: tuple[str, str], columns: list[str] | None) -> Iterator[Pair]:
    """Yield two columns of a file with tab-separated fields; quotation marks are text.

    The first line names the columns unless `columns` does. Lines are read by `read_lines`. Raises UserError, with file
    and line, for a missing or duplicate column, and for a line with another number of fields.
    """
    lines = enumerate(read_lines(path), 1)
    header = columns if columns is not None else next(lines)[1].split("\t")
    source, target = (_place(language, header, path, columns is None) for language in languages)
    for number, line in lines:
        fields = line.split("\t")
        if len(fields) != len(header):
            raise UserError(
                f"{path}, line {number}: {len(fields)} fields with tabs between them, expected {len(header)} "
                f"({quote(', '.join(header))})"
            )
        yield fields[source], fields[target]


def _place(language: str, header: list[str], path: Path, first_line: bool) -> int:
    if header.count(language) != 1:
        where = f"{path}, line 1" if first_line else "task.columns"
        hint = "; task.columns='NAME NAME' names the columns of a file without a header" if first_line else ""
        found = "names no column" if language not in header else "names two columns"
        raise UserError(f"{where} {found} {language}; {nearest(language, map(quote, header))}{hint}")
    return header.index(language)


def jsonl(path: Path, languages: tuple[str, str]) -> Iterator[Pair]:
    """Yield two values of the JSON object on each line, or of the object under its key `translation`; null is a side
    without words.

    Raises UserError, with file and line, for a line that is not a JSON object, for a value that is not text, and where
    both layouts have a language.
    """
    for number, line in enumerate(read_lines(path), 1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path}, line {number} is not JSON ({quote(error)}); expected an object a line") from error
        if not isinstance(row, dict):
            raise UserError(f"{path}, line {number}: expected a JSON object, got {quote(line)}")
        yield _sides(row, languages, f"{path}, line {number}")


def parquet(path: Path, languages: tuple[str, str]) -> Iterator[Pair]:
    """Yield two text columns of a parquet file, or two fields of its column `translation`; null is a side without
    words.

    Raises UserError, with the file, where it cannot be read, lacks a column or has both layouts, and for a row whose
    value is not text.
    """
    with needed_by(str(path)):
        from pyarrow import ArrowException, types
        from pyarrow.parquet import ParquetFile

    number = 0
    try:
        with ParquetFile(path) as file:
            columns = {field.name: field.type for field in file.schema_arrow}
            inner = columns.get(TRANSLATION)
            nested = [field.name for field in inner] if inner is not None and types.is_struct(inner) else None
            columns_of(str(path), columns, languages, nested)
            for batch in file.iter_batches(batch_size=1000, columns=[TRANSLATION] if nested else list(languages)):
                for row in batch.to_pylist():
                    number += 1
                    absent = nested and row[TRANSLATION] is None
                    yield ("", "") if absent else _sides(row, languages, f"{path}, row {number}")
    except (ArrowException, OSError, ValueError) as error:
        raise UserError(f"{path} is not a complete parquet file ({quote(error)}); fetch it again") from error


def columns_of(
    name: str, columns: Iterable[str], languages: tuple[str, str], inside: Sequence[str] | None, hint: str = ""
) -> None:
    """Check that a table has both languages: as columns, or as fields of its column `translation` (`inside`).

    Raises UserError for a missing language, and for a language in both layouts.
    """
    known = list(columns)
    for language in languages:
        if inside is not None and language in known:
            raise _twofold(name, language)
        if language not in (known if inside is None else inside):
            where = "column" if inside is None else f"language in its column {TRANSLATION}, named"
            raise UserError(f"{name} has no {where} {language}; {nearest(language, inside or known)}{hint}")


def _twofold(name: str, language: str) -> UserError:
    return UserError(
        f"{name} has {language} and {TRANSLATION}, which both hold texts; leave one of them, so that it is clear which "
        "is read"
    )


def _sides(row: dict[str, object], languages: tuple[str, str], place: str) -> Pair:
    inner = row.get(TRANSLATION)
    if isinstance(inner, dict):
        for language in languages:
            if language in row:
                raise _twofold(place, language)
        row, place = inner, f"{place}, {TRANSLATION}"
    source, target = (_text(row, language, place) for language in languages)
    return source, target


def _text(row: dict[str, object], language: str, place: str) -> str:
    if language not in row:
        raise UserError(f"{place} has no key {language}; {nearest(language, map(quote, row))}")
    return line_of(row[language], f"{place}, {language}")


def line_of(value: object, place: str) -> str:
    """Return the value, "" for None. Raises UserError for anything but a single line of text."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UserError(f"{place}: expected text, got {type(value).__name__} {quote(repr(value))}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{place}: character {error.start + 1} is half a character; expected text") from error
    if "\n" in value.strip():
        raise UserError(f"{place}: there is a line break within {quote(repr(value))}; expected one line")
    return value
