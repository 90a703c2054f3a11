"""Read splits from a folder: two line-aligned files each, or one table with both languages."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from softlookup.errors import UserError
from softlookup.task.lines import aligned
from softlookup.task.records import jsonl, parquet, tsv
from softlookup.task.split import STEMS, Pair, Split, examined

TABLES = ("tsv", "tsv.gz", "jsonl", "jsonl.gz", "parquet")
NAME = "NAME"
Found = tuple[str, str]  # the stem of a file's name, and what follows its dot


def read_folder(
    folder: Path,
    source: str,
    target: str,
    columns: str | None = None,
    names: Mapping[str, str | None] | None = None,
) -> dict[str, Split]:
    """Read the splits of a folder: `train`, `val` (`valid`, `dev`, `validation`) and `test_2016_flickr` (or `test`).

    `names` overrides the names of splits, None for the defaults. Each split is read by `read_split`. Raises UserError
    for a missing or an ambiguous file, for an error within one, and for `columns` without a TSV file.
    """
    if not folder.is_dir():
        raise UserError(f"task.path={folder} is not a folder; expected one with train.{source}, train.{target}, …")
    splits = {}
    tables = []
    for split, usual in STEMS.items():
        name = (names or {}).get(split)
        stems = usual if name is None else (name,)
        tables += [kind for _, kind in _found(folder, stems, TABLES)]
        splits[split] = read_split(folder, split, stems, (source, target), columns)
    if columns is not None and not any(kind.startswith("tsv") for kind in tables):
        raise UserError(f"task.columns={columns} names the columns of TSV files, and {folder} has none; leave it out")
    return splits


def read_split(
    folder: Path,
    split: str,
    stems: tuple[str, ...],
    languages: tuple[str, str],
    columns: str | None = None,
    renaming: str | None = None,
) -> Split:
    """Read one split of a folder, from the files whose names begin with one of `stems`.

    A split is a pair of line-aligned files `train.de` and `train.en`, plain or `.gz`, or one table `train.tsv`,
    `train.jsonl` (both plain or `.gz`) or `train.parquet` with a column for each language, or (JSONL and parquet) a
    column `translation` that holds both; exactly one of these must exist. `columns` names the columns, separated by
    blanks, of TSV files without a header line. `renaming` is the option to suggest for files with another name. A
    changed file is read again. Raises UserError for a missing or an ambiguous file and for an error within one.
    """
    tables = _found(folder, stems, TABLES)
    sides = [_found(folder, stems, (language, f"{language}.gz")) for language in languages]
    found = [*tables, *sides[0], *sides[1]]
    if tables[1:] or (tables and any(sides)) or sides[0][1:] or sides[1][1:]:
        names = " and ".join(map(".".join, found if tables else sides[0] if sides[0][1:] else sides[1]))
        raise UserError(f"{folder} has {names}; leave one of them, so that it is clear which is read")
    if tables:
        return _table(folder / ".".join(tables[0]), tables[0][1], languages, columns)
    for language, side in zip(languages, sides, strict=True):
        if not side:
            raise _missing(folder, stems, language, renaming or f"task.{split}={NAME}")
    one, other = (folder / ".".join(side[0]) for side in sides)
    if sides[0][0][0] != sides[1][0][0]:
        raise UserError(f"{one} and {other} are not two sides of one text")
    return examined(dict(zip(languages, (str(one), str(other)), strict=True)), partial(aligned, one, other))


def _found(folder: Path, stems: tuple[str, ...], endings: tuple[str, ...]) -> list[Found]:
    return [(stem, ending) for stem in stems for ending in endings if (folder / f"{stem}.{ending}").is_file()]


def _table(path: Path, ending: str, languages: tuple[str, str], columns: str | None) -> Split:
    names = {language: f"{path}, column {language}" for language in languages}
    if ending.startswith("tsv"):
        named = None if columns is None else columns.split()
        return examined(names, partial(tsv, path, languages, named), 1 if named else 2)
    rows: Callable[[Path, tuple[str, str]], Iterator[Pair]] = parquet if ending == "parquet" else jsonl
    return examined(names, partial(rows, path, languages))


def _missing(folder: Path, stems: tuple[str, ...], language: str, other: str) -> UserError:
    there = sorted(path.name for path in folder.iterdir())
    shown = ", ".join(there[:12]) + (", …" if len(there) > 12 else "")
    return UserError(
        f"{folder} has no {' or '.join(f'{stem}.{language}' for stem in stems)} (plain or .gz); it holds: "
        f"{shown or 'nothing'} (a table of both languages is {stems[0]}.tsv, {stems[0]}.jsonl or {stems[0]}.parquet; "
        f"{other} is another name, without the ending)"
    )
