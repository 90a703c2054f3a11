"""Splits from a folder of files: two line-aligned files for each, or a table of both languages."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from softlookup.errors import UserError
from softlookup.task.lines import aligned
from softlookup.task.records import jsonl, parquet, tsv
from softlookup.task.split import STEMS, Pair, Split, examined

TABLES = ("tsv", "tsv.gz", "jsonl", "jsonl.gz", "parquet")


def read_folder(folder: Path, source: str, target: str, columns: str | None = None) -> dict[str, Split]:
    """The splits of a folder: `train`, `val` (or `validation`) and `test_2016_flickr` (or `test`).

    Each is a pair of line-aligned files `train.de` and `train.en`, plain or `.gz`, or one table `train.tsv`,
    `train.jsonl` (both plain or `.gz`) or `train.parquet` with a column for each language; exactly one of these.
    `columns` has the names of the columns, with blanks between them, for TSV files that do not begin with them. A
    changed file is read anew. Raises UserError for a missing or an ambiguous file and for what is wrong within one.
    """
    if not folder.is_dir():
        raise UserError(f"task.path={folder} is not a folder; expected one with train.{source}, train.{target}, …")
    named = None if columns is None else columns.split()
    splits = {}
    for split, stems in STEMS.items():
        tables = [f"{stem}.{kind}" for stem in stems for kind in TABLES if (folder / f"{stem}.{kind}").is_file()]
        sides = [name for name in _names(stems, source) + _names(stems, target) if (folder / name).is_file()]
        if tables and (tables[1:] or sides):
            raise _ambiguous(folder, [*tables, *sides])
        splits[split] = (
            _table(folder / tables[0], (source, target), named)
            if tables
            else _aligned(_file(folder, stems, source), _file(folder, stems, target), source, target)
        )
    return splits


def _aligned(one: Path, other: Path, source: str, target: str) -> Split:
    if one.name.split(".")[0] != other.name.split(".")[0]:
        raise UserError(f"{one} and {other} are not two sides of one text")
    return examined({source: str(one), target: str(other)}, partial(aligned, one, other))


def _table(path: Path, languages: tuple[str, str], columns: list[str] | None) -> Split:
    names = {language: f"{path}, column {language}" for language in languages}
    kind = path.name.split(".")[1]
    if kind == "tsv":
        return examined(names, partial(tsv, path, languages, columns), 1 if columns else 2)
    rows: Callable[[Path, tuple[str, str]], Iterator[Pair]] = jsonl if kind == "jsonl" else parquet
    return examined(names, partial(rows, path, languages))


def _names(stems: tuple[str, ...], language: str) -> list[str]:
    return [f"{stem}.{language}{ending}" for stem in stems for ending in ("", ".gz")]


def _file(folder: Path, stems: tuple[str, ...], language: str) -> Path:
    """The one file of a split in a language."""
    names = _names(stems, language)
    found = [name for name in names if (folder / name).is_file()]
    if not found:
        there = sorted(path.name for path in folder.iterdir())
        shown = ", ".join(there[:12]) + (", …" if len(there) > 12 else "")
        raise UserError(
            f"{folder} has no {' or '.join(names)}; it holds: {shown or 'nothing'} "
            f"(a table of both languages is {stems[0]}.tsv, {stems[0]}.jsonl or {stems[0]}.parquet)"
        )
    if len(found) > 1:
        raise _ambiguous(folder, found)
    return folder / found[0]


def _ambiguous(folder: Path, found: list[str]) -> UserError:
    return UserError(f"{folder} has {' and '.join(found)}; leave one of them, so that it is clear which is read")
