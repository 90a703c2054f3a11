"""Fuzzing of every file reader with ten thousand generated files: correct content, or a UserError.

The cases are the same in every run. FUZZ=20 python -m pytest tests/test_fuzz.py tries twenty times as many.
"""

import gzip
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any

import fake_runs
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow.parquet import write_table

from softlookup.analysis import csv_export, load
from softlookup.errors import UserError
from softlookup.task.folder import read_folder
from softlookup.task.lines import read_lines
from softlookup.task.records import jsonl, parquet, tsv
from softlookup.text.vocabulary import SPECIALS, Vocabulary

# Characters that other readers treat as line ends or white space, or drop: U+2028, U+2029, NEL, VT, FF,
# separators, byte order marks, NUL, and both halves of a surrogate pair.
ODD = "\u2028\u2029\x85\x0b\x0c\x1c\x1e\x00\r\n\t \xa0\ufeff\u200b\ud800\udfff\U0001f600"
LETTER = st.one_of(st.sampled_from([c for c in ODD if c not in "\ud800\udfff\n"]), st.characters(codec="utf-8"))
TEXT = st.text(st.one_of(st.sampled_from(ODD), LETTER), max_size=12)
LINE = st.text(LETTER, max_size=12)
# JSON of any shape, with NaN, infinity and numbers out of range.
ATOM = st.one_of(
    st.sampled_from([None, True, 0.5, -1, 1e308, 10**400, float("nan"), float("inf"), "finished"]), st.floats(), TEXT
)
JSON = st.recursive(
    ATOM, lambda inside: st.lists(inside, max_size=3) | st.dictionaries(TEXT, inside, max_size=3), max_leaves=4
)


def cases(count: int) -> Callable[[Any], Any]:
    """Return hypothesis settings for `count` reproducible cases."""
    return settings(
        max_examples=count * int(os.environ.get("FUZZ", "1")),
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
    )


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """Truncate a file, overwrite, repeat or insert bytes, or replace it."""
    at = draw(st.integers(0, len(content)))
    kind = draw(st.sampled_from(["cut", "flip", "insert", "double", "other"]))
    if kind == "cut":
        return content[:at]
    if kind == "flip":
        return content[:at] + draw(st.binary(min_size=1, max_size=4)) + content[at + 1 :]
    if kind == "insert":
        return content[:at] + draw(TEXT).encode("utf-8", "surrogatepass") + content[at:]
    return content + content[at:] if kind == "double" else draw(st.binary(max_size=200))


def encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def expected_lines(content: bytes) -> list[str] | None:
    """Split a text into lines, character by character; None if it is empty or not UTF-8."""
    try:
        text = content.decode("utf-8", "strict")
    except UnicodeDecodeError:
        return None
    lines, line = [], ""
    for letter in text[1:] if text[:1] == "\ufeff" else text:
        if letter == "\n":
            lines.append(line[:-1] if line[-1:] == "\r" else line)
            line = ""
        else:
            line += letter
    return [*lines, line] if line else lines or None


def outcome(reader: Callable[[Path], Any], path: Path, named: str) -> Any:
    """Return what was read, or None for a UserError, which must name the file."""
    try:
        return reader(path)
    except UserError as error:
        message = str(error)
    assert named in message
    return None


def lines(path: Path) -> list[str]:
    return [*read_lines(path)]


@cases(1500)
@given(
    content=st.one_of(
        TEXT.map(encoded), st.lists(LINE, max_size=4).map("\r\n".join).map(encoded), st.binary(max_size=16)
    )
)
def test_plain_and_gz_lines_are_read_or_rejected(tmp_path: Path, content: bytes) -> None:
    plain, packed = tmp_path / "x.de", tmp_path / "x.de.gz"
    plain.write_bytes(content)
    packed.write_bytes(gzip.compress(content, 1))
    assert outcome(lines, plain, "x.de") == expected_lines(content)
    assert outcome(lines, packed, "x.de.gz") == expected_lines(content)


@cases(360)
@given(data=st.data(), text=st.lists(LINE, min_size=1, max_size=4).map("\n".join).map(encoded))
def test_damaged_gzip_is_rejected_or_complete(tmp_path: Path, data: st.DataObject, text: bytes) -> None:
    packed = tmp_path / "x.de.gz"
    packed.write_bytes(data.draw(damaged(gzip.compress(text, 1, mtime=0))))
    found = outcome(lines, packed, "x.de.gz")
    # Two concatenated gzip files are a valid gzip file.
    assert found in (None, expected_lines(text), expected_lines(text + text))


@cases(60)
@given(data=st.data())
def test_a_folder_of_text_is_read_or_rejected(tmp_path: Path, data: st.DataObject) -> None:
    columns = {}
    for stem in ("train", "val", "test"):
        size = data.draw(st.integers(1, 3))
        for language in ("de", "en"):
            lines = st.lists(LINE, min_size=size, max_size=size if data.draw(st.integers(0, 9)) else size + 1)
            content = encoded("".join(f"{line}\n" for line in data.draw(lines)))
            content = content if data.draw(st.integers(0, 9)) else data.draw(damaged(content))
            (tmp_path / f"{stem}.{language}").write_bytes(content)
            columns[stem, language] = expected_lines(content)
    pairs = [(columns[stem, "de"], columns[stem, "en"]) for stem in ("train", "val", "test")]
    try:
        splits = read_folder(tmp_path, "de", "en")
    except UserError:
        assert any(not de or not en or len(de) != len(en) for de, en in pairs)
    else:
        assert [[*split] for split in splits.values()] == [[*zip(*pair, strict=True)] for pair in pairs]


@cases(60)
@given(data=st.data(), rows=st.lists(st.tuples(LINE, LINE, LINE), min_size=1, max_size=3))
def test_a_table_of_text_is_read_or_rejected(
    tmp_path: Path, data: st.DataObject, rows: list[tuple[str, str, str]]
) -> None:
    """TSV and JSONL, intact or damaged; an intact file is read exactly."""
    kind = data.draw(st.sampled_from(["tsv", "jsonl"]))
    if kind == "tsv":
        content = encoded("".join("\t".join(row) + "\n" for row in [("de", "n", "en"), *rows]))
        plain = all(character not in "".join(row) for row in rows for character in "\t\r\n")
    else:
        content = encoded("".join(json.dumps(dict(zip(("de", "n", "en"), row, strict=True))) + "\n" for row in rows))
        plain = all("\n" not in side.strip() for row in rows for side in row)
    whole = data.draw(st.booleans())
    path = tmp_path / f"x.{kind}"
    path.write_bytes(content if whole else data.draw(damaged(content)))
    languages = ("de", "en")
    found = outcome(
        lambda path: [*(tsv(path, languages, None) if kind == "tsv" else jsonl(path, languages))], path, path.name
    )
    if whole and plain:
        assert found == [(row[0], row[2]) for row in rows]
    for pair in found or []:
        assert all(isinstance(side, str) and "\n" not in side.strip() for side in pair)


@pytest.fixture(scope="module")
def table() -> bytes:
    sink = pa.BufferOutputStream()
    write_table(pa.table({"de": ["Ein Hund", None, "ü"], "en": ["a dog", "x", "\u2028"]}), sink)
    return sink.getvalue().to_pybytes()


@cases(45)
@given(data=st.data())
def test_a_broken_parquet_file_is_read_or_rejected(tmp_path: Path, table: bytes, data: st.DataObject) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(data.draw(damaged(table)))
    outcome(lambda path: [*parquet(path, ("de", "en"))], path, "x.parquet")


@cases(540)
@given(
    tokens=st.lists(TEXT, max_size=6),
    words=st.lists(st.one_of(TEXT, st.sampled_from(SPECIALS)), max_size=6),
    data=st.data(),
)
def test_words_to_ids_and_back_round_trip(tokens: list[str], words: list[str], data: st.DataObject) -> None:
    try:
        vocabulary = Vocabulary(tokens)
    except UserError:
        assert not tokens or len({*tokens, *SPECIALS}) < len(tokens) + len(SPECIALS)
        return
    assert vocabulary.decode(vocabulary.encode(tokens)) == tokens
    mixed = data.draw(st.permutations([*tokens, *words]))
    read = [word for word in takewhile(lambda word: word != "</s>", mixed) if word not in ("<pad>", "<s>")]
    assert vocabulary.decode(vocabulary.encode(mixed)) == [word if word in tokens else "<unk>" for word in read]


NAME = "additive-reverse-s1"
OF_A_RUN = ("state.json", "config.yaml", "metrics.jsonl", *["result.json"] * 4)  # result.json has the most structure
DAMAGED = ("plan.json", "timing.json", *(f"{NAME}/{name}" for name in OF_A_RUN))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a run to be damaged, next to an undamaged one with another seed."""
    runs_dir = fake_runs.make(tmp_path_factory.mktemp("runs"), tasks=("reverse",), variants=("additive",), seeds=3)
    folder = runs_dir / "bottleneck"
    (folder / NAME / "state.json").write_text('{"state": "finished", "reason": null}')
    row = json.loads((folder / "additive-reverse-s2" / "result.json").read_text())
    row |= {"id": NAME, "seed": 1}
    (folder / NAME / "result.json").write_text(json.dumps(row))
    (folder / NAME / "metrics.jsonl").write_bytes((folder / "additive-reverse-s2" / "metrics.jsonl").read_bytes())
    fake_runs.set_timing(folder, {row["variant_key"]: 0.011})
    (folder / NAME / "config.yaml").write_text(f"choices: {{task: reverse, attention: additive}}\nseed: {row['seed']}")
    return runs_dir


def places(content: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value in nested dicts and lists."""
    inside = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return [place, *(deeper for key, value in inside for deeper in places(value, (*place, key)))]


@st.composite
def reshaped(draw: st.DrawFn, content: bytes) -> bytes:
    """Replace one value of a JSON file by a random one."""
    whole = {"": json.loads(content)}
    *way, last = ("", *draw(st.sampled_from(places(whole[""]))))
    inside: Any = whole
    for key in way:
        inside = inside[key]
    inside[last] = draw(JSON)
    return json.dumps(whole[""]).encode()


@contextmanager
def broken(path: Path, data: st.DataObject) -> Iterator[None]:
    """Damage a file, or change its structure, until the end of the block."""
    before = path.read_bytes()
    ways = [damaged(before), JSON.map(json.dumps).map(str.encode)]
    if path.suffix == ".json":
        ways += [reshaped(before)] * 2
    elif path.suffix == ".jsonl":
        first, rest = before.split(b"\n", 1)
        ways.append(reshaped(first).map(lambda line: line + b"\n" + rest))
    path.write_bytes(data.draw(st.one_of(ways)))
    try:
        yield
    finally:
        path.write_bytes(before)


@cases(270)
@given(data=st.data(), name=st.sampled_from(DAMAGED))
def test_results_of_a_broken_folder_are_correct_or_not_counted(runs: Path, data: st.DataObject, name: str) -> None:
    """The other run is read as before; the broken run counts with the numbers of its file, or has a reason."""
    with broken(runs / "bottleneck" / name, data):
        rows = outcome(load.read, runs, "plan.json cannot be read")
        if name == "plan.json":
            assert rows is None or (rows["status"] == "finished").sum() == 2
            return
        by_id = rows.set_index("id")
        assert by_id["test/token_accuracy"]["additive-reverse-s2"] == fake_runs.accuracy(0, 2)
        row = by_id.loc[NAME]
        if not row["counted"]:
            assert row["status"] != "finished"
            assert row["status"] != "missing" or Path(name).name in row["reason"]
            return
        stored = json.loads((runs / "bottleneck" / NAME / "result.json").read_bytes())
        values = (stored.get("metrics", {}) | stored.get("cost", {})).items()
        measured = {key: value for key, value in values if value is not None and not isinstance(value, str)}
        metric_columns = [column for column in rows if "/" in column and not column.startswith("timing/")]
        assert row[metric_columns].dropna().to_dict() == measured
        assert name != "timing.json" or row["untimed"] or 0 < row["timing/step_q1"] <= row["timing/step"] < np.inf
        assert np.isfinite([*measured.values()]).all()
        assert all(value is None or np.isfinite(value) for bucket in row["by_length"] for value in bucket.values())


@cases(24)
@given(data=st.data(), name=st.sampled_from(DAMAGED))
def test_tables_of_a_broken_folder_are_finite(runs: Path, data: st.DataObject, name: str) -> None:
    with broken(runs / "bottleneck" / name, data):
        rows = outcome(load.read, runs, "plan.json cannot be read")
        for table in [] if rows is None else csv_export.tables(rows).values():
            if "value" in table:
                assert np.isfinite(table["value"]).all()


@cases(240)
@given(data=st.data())
def test_broken_alignments_are_rejected_or_unchanged(runs: Path, data: st.DataObject) -> None:
    """The archive has a checksum per array: whatever is read is what was written."""
    folder = runs / "bottleneck" / "additive-reverse-s2"
    path = folder / "alignments.npz"
    before, whole = path.read_bytes(), load.alignments(folder)
    try:
        path.write_bytes(data.draw(damaged(before)))
        found = outcome(load.alignments, folder, "additive-reverse-s2: alignments.npz")
        for one, right in zip(found or [], whole, strict=False):
            assert (one.source, one.target, one.reference) == (right.source, right.target, right.reference)
            assert one.weights.tolist() == right.weights.tolist()
    finally:
        path.write_bytes(before)
