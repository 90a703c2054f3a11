"""Line-aligned text: from a folder of files, or from the Hugging Face hub. Both give the same three splits."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from softlookup.errors import UserError, nearest

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

# The file names, before the language, that hold each split in a folder.
STEMS = {"train": ("train",), "validation": ("val",), "test": ("test_2016_flickr", "test")}
HUB_TIMEOUT = 5.0  # seconds


@dataclass(frozen=True)
class Split:
    """Sentences and their translations: `pairs` has one column per language, `names` says where each comes from."""

    pairs: Dataset
    names: dict[str, str]


def read_lines(path: Path) -> list[str]:
    r"""The lines of a UTF-8 file, plain or gzip (`.gz`), without their ends.

    Lines end at `\n` or `\r\n` only: U+2028, NEL and VT stay inside a line. A byte order mark at the start of
    the file is removed; the last line needs no end. Raises UserError, with the file and the line, for a file
    that is missing, empty, broken gzip or invalid UTF-8.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{path} is no whole gzip file ({error}); fetch it again, or give it plain") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from error
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        raise UserError(
            f"{path}, line {line}: byte {column} of the line (offset {error.start} of the text) is not UTF-8 "
            f"({error.reason}); convert the file, for example with iconv -t UTF-8"
        ) from error
    text = text.removeprefix("\ufeff")
    if not text:
        raise UserError(f"{path} is empty; expected one sentence per line")
    *ended, rest = text.split("\n")
    return [*(line.removesuffix("\r") for line in ended), *([rest] if rest else [])]


def read_folder(folder: Path, source: str, target: str) -> dict[str, Split]:
    """The splits of a folder with `train`, `val` and `test_2016_flickr` (or `test`) in both languages.

    `train.de` or `train.de.gz`: exactly one of them. Nothing is cached, so a changed file is read anew. Raises
    UserError for a missing or an ambiguous file and for two sides with unequal numbers of lines.
    """
    from datasets import Dataset

    if not folder.is_dir():
        raise UserError(f"task.path={folder} is not a folder; expected one with train.{source}, train.{target}, …")
    splits = {}
    for split, stems in STEMS.items():
        files = {language: _file(folder, stems, language) for language in (source, target)}
        if len({path.name.split(".")[0] for path in files.values()}) > 1:
            raise UserError(f"{' and '.join(map(str, files.values()))} are not two sides of one text")
        columns = {language: read_lines(path) for language, path in files.items()}
        if len(columns[source]) != len(columns[target]):
            counts = " and ".join(f"{files[k]} has {len(lines)} lines" for k, lines in columns.items())
            raise UserError(f"{counts}; line-aligned files have one translation per line")
        splits[split] = Split(Dataset.from_dict(columns), {k: str(path) for k, path in files.items()})
    return splits


def _file(folder: Path, stems: tuple[str, ...], language: str) -> Path:
    """The one file of a split in a language."""
    names = [f"{stem}.{language}{ending}" for stem in stems for ending in ("", ".gz")]
    found = [name for name in names if (folder / name).is_file()]
    if not found:
        there = sorted(path.name for path in folder.iterdir())
        shown = ", ".join(there[:12]) + (", …" if len(there) > 12 else "")
        raise UserError(f"{folder} has no {' or '.join(names)}; it holds: {shown or 'nothing'}")
    if len(found) > 1:
        raise UserError(f"{folder} has {' and '.join(found)}; leave one of them, so that it is clear which is read")
    return folder / found[0]


def read_hub(dataset: str, source: str, target: str) -> dict[str, Split]:
    """The splits of a dataset of the Hugging Face hub, from its local cache where the hub cannot be reached.

    Raises UserError where neither has it, or where it has no such language, or a split is missing or empty.
    """
    loaded = _load(dataset, source, target)
    splits = {}
    for split in STEMS:
        if split not in loaded:
            raise UserError(f"{dataset} has no split {split}; it has {', '.join(loaded)}")
        if not loaded[split].num_rows:
            raise UserError(f"{dataset} has nothing in its split {split}")
        for language in (source, target):
            if language not in loaded[split].column_names:
                raise UserError(
                    f"{dataset} has no language {language}; {nearest(language, loaded[split].column_names)} "
                    f"(or give task.path=DIR with train.{source}, train.{target}, …)"
                )
        names = {language: f"{dataset}, split {split}, column {language}" for language in (source, target)}
        splits[split] = Split(loaded[split], names)
    return splits


def _load(dataset: str, source: str, target: str) -> DatasetDict:
    """`datasets.load_dataset` that gives up within seconds where there is no network.

    On its own it tries six times with growing pauses: half a minute without a name server, minutes behind a
    firewall that drops packets. One request decides here whether it may use the network at all; offline it
    still reads its own cache.
    """
    import datasets

    unreachable = hub_unreachable()
    before = datasets.config.HF_HUB_OFFLINE
    datasets.config.HF_HUB_OFFLINE = before or unreachable is not None
    try:
        return datasets.load_dataset(dataset)
    except Exception as error:  # the hub, its client and the dataset's format each have errors of their own
        lines = str(unreachable or error).strip().splitlines()
        reason = lines[0] if lines else type(error).__name__
        raise UserError(
            f"{dataset} could not be loaded from the Hugging Face hub ({reason}); give task.path=DIR, a folder with "
            f"train.{source}, train.{target}, val.{source}, val.{target}, test.{source}, test.{target} (plain or .gz)"
        ) from error
    finally:
        datasets.config.HF_HUB_OFFLINE = before


def hub_unreachable() -> str | None:
    """Why the hub cannot be reached, or None where it answers within `HUB_TIMEOUT`."""
    import huggingface_hub

    try:
        huggingface_hub.get_session().head(huggingface_hub.constants.ENDPOINT, timeout=HUB_TIMEOUT)
    except Exception as error:  # whatever stands between here and the hub
        return str(error) or type(error).__name__
    return None
