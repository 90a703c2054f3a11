"""Folders of text: which files are read, and the error message for every invalid one."""

import gzip
import json
from pathlib import Path

import pytest

from softlookup.errors import UserError
from softlookup.task.folder import read_folder
from softlookup.task.split import Split

SPLITS = ("train", "val", "test_2016_flickr")


def folder(path: Path, source: str = "de", target: str = "en") -> Path:
    """Write a folder of three splits; every line states its split and number."""
    path.mkdir(exist_ok=True)
    for stem in SPLITS:
        for language in (source, target):
            (path / f"{stem}.{language}").write_text(f"{stem} {language} 1\n{stem} {language} 2\n")
    return path


def test_plain_and_gz_folders_are_equal_and_changes_are_read(tmp_path: Path) -> None:
    path = folder(tmp_path / "text")
    plain = {name: [*split] for name, split in read_folder(path, "de", "en").items()}
    assert plain["validation"] == [("val de 1", "val en 1"), ("val de 2", "val en 2")]
    for file in list(path.iterdir()):
        (path / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    packed = read_folder(path, "de", "en")
    assert {k: [*v] for k, v in packed.items()} == plain
    (path / "val.de.gz").write_bytes(gzip.compress(b"new\nnewer\n"))
    assert [source for source, _ in read_folder(path, "de", "en")["validation"]] == ["new", "newer"]


def test_any_pair_of_languages_is_read_in_either_direction(tmp_path: Path) -> None:
    path = folder(tmp_path / "text", "fi", "sw")
    there, back = read_folder(path, "fi", "sw"), read_folder(path, "sw", "fi")
    assert [*there["train"]] == [("train fi 1", "train sw 1"), ("train fi 2", "train sw 2")]
    assert [*back["train"]] == [pair[::-1] for pair in there["train"]]
    assert list(back["train"].names) == ["sw", "fi"]


def test_test_is_an_alias_of_test_2016_flickr_but_both_are_ambiguous(tmp_path: Path) -> None:
    path = folder(tmp_path / "text")
    (path / "test_2016_flickr.en").rename(path / "test.en")
    with pytest.raises(UserError, match="not two sides of one text"):
        read_folder(path, "de", "en")
    (path / "test_2016_flickr.de").rename(path / "test.de")
    assert read_folder(path, "de", "en")["test"].names["de"].endswith("test.de")
    (path / "test_2016_flickr.de").write_text("x\ny\n")
    with pytest.raises(UserError, match=r"has test_2016_flickr\.de and test\.de; leave one"):
        read_folder(path, "de", "en")


@pytest.mark.parametrize("stem", ["val", "valid", "dev", "validation"])
def test_common_names_of_the_validation_set_are_recognized(tmp_path: Path, stem: str) -> None:
    """Any endings are language codes, such as src and tgt; two candidate files are ambiguous."""
    path = folder(tmp_path / "text", "src", "tgt")
    for language in ("src", "tgt"):
        (path / f"val.{language}").rename(path / f"{stem}.{language}")
        (path / f"test_2016_flickr.{language}").rename(path / f"test.{language}")
    splits = read_folder(path, "src", "tgt")
    assert [*splits["validation"]] == [("val src 1", "val tgt 1"), ("val src 2", "val tgt 2")]
    assert len(splits["test"]) == 2
    other = "dev" if stem != "dev" else "valid"
    (path / f"{other}.tsv").write_text("src\ttgt\na\tb\n")
    with pytest.raises(UserError, match=rf"has {other}\.tsv and {stem}\.src and {stem}\.tgt; leave one"):
        read_folder(path, "src", "tgt")


def test_splits_may_have_custom_names(tmp_path: Path) -> None:
    """Names may contain dots, and a split may lie in a subfolder."""
    path = folder(tmp_path / "text")
    (path / "sets").mkdir()
    for language in ("de", "en"):
        for old, new in (("train", "corpus.tok"), ("val", "newstest2013"), ("test_2016_flickr", "sets/newstest2014")):
            (path / f"{old}.{language}").rename(path / f"{new}.{language}")
    own = {"train": "corpus.tok", "validation": "newstest2013", "test": "sets/newstest2014"}
    splits = read_folder(path, "de", "en", names=own)
    assert [next(iter(split))[0] for split in splits.values()] == ["train de 1", "val de 1", "test_2016_flickr de 1"]
    with pytest.raises(UserError, match=r"no newstest2015\.de .* task\.test=NAME is another name"):
        read_folder(path, "de", "en", names=own | {"test": "newstest2015"})
    (path / "corpus.tok.jsonl").write_text('{"de": "x", "en": "y"}\n')
    with pytest.raises(UserError, match=r"has corpus\.tok\.jsonl and corpus\.tok\.de and corpus\.tok\.en; leave one"):
        read_folder(path, "de", "en", names=own)


def test_columns_without_a_tsv_file_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"task\.columns=de en names the columns of TSV files, and .* has none"):
        read_folder(folder(tmp_path / "text"), "de", "en", "de en")


def test_unequal_line_counts_name_both_files(tmp_path: Path) -> None:
    path = folder(tmp_path / "text")
    (path / "val.en").write_text("one\ntwo\nthree\n")
    with pytest.raises(UserError, match=r"val\.de has 2 lines and .*val\.en has 3 lines"):
        read_folder(path, "de", "en")


def test_a_missing_file_says_what_was_expected_and_what_is_there(tmp_path: Path) -> None:
    path = folder(tmp_path / "text")
    with pytest.raises(
        UserError, match=r"has no train\.fr \(plain or \.gz\); it holds: test_2016_flickr\.de, .*val\.en"
    ):
        read_folder(path, "fr", "en")
    for file in path.iterdir():
        file.unlink()
    with pytest.raises(UserError, match="it holds: nothing"):
        read_folder(path, "de", "en")


def test_plain_beside_gz_is_ambiguous(tmp_path: Path) -> None:
    path = folder(tmp_path / "text")
    (path / "train.de.gz").write_bytes(gzip.compress(b"x\ny\n"))
    with pytest.raises(UserError, match=r"train\.de and train\.de\.gz; leave one"):
        read_folder(path, "de", "en")


def test_a_path_that_is_not_a_folder_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "nowhere"):
        with pytest.raises(UserError, match=r"is not a folder; expected one with train\.de, train\.en"):
            read_folder(path, "de", "en")


def table(path: Path, ending: str, content: str | bytes) -> Path:
    """Write a folder of three equal tables."""
    path.mkdir(exist_ok=True)
    for stem in SPLITS:
        content = content.encode() if isinstance(content, str) else content
        (path / f"{stem}.{ending}").write_bytes(gzip.compress(content) if ending.endswith(".gz") else content)
    return path


def train(path: Path, columns: str | None = None) -> Split:
    return read_folder(path, "de", "en", columns)["train"]


PAIRS = [('ein "Hund', "a dog\u2028"), ("", "x"), ("zwei  ", "two\x85")]


@pytest.mark.parametrize("packed", ["", ".gz"])
def test_tsv_is_read_with_and_without_a_header(tmp_path: Path, packed: str) -> None:
    rows = "".join(f"{n}\t{target}\t{source}\r\n" for n, (source, target) in enumerate(PAIRS))
    named = train(table(tmp_path / "a", f"tsv{packed}", "\ufeffid\ten\tde\n" + rows))
    assert [*named] == PAIRS
    assert (named.first, len(named)) == (2, 3)
    assert named.names["en"].endswith(f"train.tsv{packed}, column en")
    bare = train(table(tmp_path / "b", f"tsv{packed}", rows), "id en de")
    assert [*bare] == PAIRS
    assert (bare.first, bare.digest) == (1, named.digest)


@pytest.mark.parametrize(
    ("content", "columns", "message"),
    [
        ("de\tfr\na\tb\n", None, r"train\.tsv, line 1 names no column en; .*task\.columns='NAME NAME'"),
        ("de\ten\tde\na\tb\tc\n", None, r"train\.tsv, line 1 names two columns de"),
        ("a\tb\n", "de fr", r"task\.columns names no column en; valid: de, fr"),
        ("de\ten\na\tb\nc\n", None, r"train\.tsv, line 3: 1 fields with tabs between them, expected 2 \(de, en\)"),
        ("a\tb\tc\n", "de en", r"train\.tsv, line 1: 3 fields"),
        (b"de\ten\na\tb\nc\t\xfc\n", None, r"train\.tsv, line 3: byte 3 of the line"),
        ("", None, r"train\.tsv is empty"),
        ("de\ten\n", None, r"train\.tsv, column de .*has no rows"),
    ],
)
def test_an_invalid_tsv_is_reported_by_file_and_line(tmp_path: Path, content: str, columns: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        train(table(tmp_path, "tsv", content), columns)


@pytest.mark.parametrize("packed", ["", ".gz"])
def test_jsonl_is_read(tmp_path: Path, packed: str) -> None:
    rows = [json.dumps({"en": target, "n": 1, "de": source or None}, ensure_ascii=False) for source, target in PAIRS]
    assert [*train(table(tmp_path, f"jsonl{packed}", "\n".join(rows)))] == PAIRS


def test_jsonl_and_parquet_are_read_in_the_layout_of_the_hub(tmp_path: Path) -> None:
    """Both texts are under `translation`, in either direction, next to other keys."""
    rows = [{"id": n, "translation": {"en": en, "de": de or None}} for n, (de, en) in enumerate(PAIRS)]
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    assert [*train(table(tmp_path / "a", "jsonl", lines))] == PAIRS
    columns = {"id": [0, 1, 2], "translation": [row["translation"] for row in rows]}
    assert [*train(parquet(tmp_path / "b", columns))] == PAIRS
    back = read_folder(tmp_path / "b", "en", "de")["test"]
    assert [*back] == [pair[::-1] for pair in PAIRS]
    assert [*train(parquet(tmp_path / "c", {"translation": [None, {"de": "a", "en": "b"}]}))] == [("", ""), ("a", "b")]
    with pytest.raises(UserError, match=r"train\.parquet has no language in its column translation, named en; .*fr"):
        train(parquet(tmp_path / "d", {"translation": [{"de": "a", "fr": "b"}]}))
    with pytest.raises(UserError, match=r"train\.jsonl, line 1, translation has no key en; valid: de, fr"):
        train(table(tmp_path / "e", "jsonl", '{"translation": {"de": "a", "fr": "b"}}'))


def test_both_layouts_in_one_file_are_ambiguous(tmp_path: Path) -> None:
    row = {"de": "a", "en": "b", "translation": {"de": "c", "en": "d"}}
    with pytest.raises(UserError, match=r"train\.jsonl, line 1 has de and translation, .* leave one of them"):
        train(table(tmp_path / "a", "jsonl", json.dumps(row)))
    with pytest.raises(UserError, match=r"train\.parquet has de and translation, .* leave one of them"):
        train(parquet(tmp_path / "b", {key: [value] for key, value in row.items()}))
    # A column of plain text may have any name, `translation` included.
    named = read_folder(parquet(tmp_path / "c", {"text": ["a"], "translation": ["b"]}), "text", "translation")
    assert [*named["train"]] == [("a", "b")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"train\.jsonl, line 2 is not JSON"),
        ("", r"line 2 is not JSON"),
        ("[" * 100_000, r"line 2 is not JSON"),
        ("[1]", r"line 2: expected a JSON object"),
        ('{"de": "x"}', r"line 2 has no key en; valid: de"),
        ('{"de": "x", "en": 3}', r"line 2, en: expected text, got int 3"),
        ('{"de": "x", "en": "a\\nb"}', r"line 2, en: there is a line break within"),
        ('{"de": "x\\ud800", "en": "a"}', r"line 2, de: character 2 is half a character"),
    ],
)
def test_an_invalid_jsonl_is_reported_by_file_and_line(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        train(table(tmp_path, "jsonl", '{"de": "a", "en": "b"}\n' + line + "\n"))


def parquet(path: Path, columns: dict[str, list]) -> Path:
    import pyarrow as pa
    from pyarrow.parquet import write_table

    path.mkdir(exist_ok=True)
    for stem in SPLITS:
        write_table(pa.table(columns), path / f"{stem}.parquet")
    return path


def test_parquet_is_read_and_invalid_files_are_reported(tmp_path: Path) -> None:
    sides = [list(side) for side in zip(*PAIRS, strict=True)]
    assert [*train(parquet(tmp_path, {"n": [1, 2, 3], "en": sides[1], "de": sides[0]}))] == PAIRS
    assert [*train(parquet(tmp_path, {"en": ["a", None], "de": ["b", "c"]}))] == [("b", "a"), ("c", "")]
    with pytest.raises(UserError, match=r"train\.parquet has no column de; valid: en"):
        train(parquet(tmp_path, {"en": ["a"]}))
    with pytest.raises(UserError, match=r"train\.parquet, row 2, de: expected text, got int 3"):
        train(parquet(tmp_path, {"en": ["a", "b"], "de": [None, 3]}))
    with pytest.raises(UserError, match=r"train\.parquet, column de .*has no rows"):
        train(parquet(tmp_path, {"en": [], "de": []}))
    whole = (parquet(tmp_path, {"en": ["a"], "de": ["b"]}) / "train.parquet").read_bytes()
    for content in (b"", whole[:-5], b"plain"):
        (tmp_path / "train.parquet").write_bytes(content)
        with pytest.raises(UserError, match=r"train\.parquet is not a complete parquet file"):
            train(tmp_path)


def test_two_formats_of_one_split_are_ambiguous(tmp_path: Path) -> None:
    path = table(folder(tmp_path / "text"), "tsv", "de\ten\na\tb\n")
    with pytest.raises(UserError, match=r"has train\.tsv and train\.de and train\.en; leave one"):
        train(path)
    for split in path.glob("*.[de][en]"):
        split.unlink()
    assert [*train(path)] == [("a", "b")]
    (path / "val.jsonl").write_text("{}")
    with pytest.raises(UserError, match=r"has val\.tsv and val\.jsonl; leave one"):
        train(path)


def test_a_file_that_changes_while_it_is_read_is_detected(tmp_path: Path) -> None:
    split = train(table(tmp_path, "tsv", "de\ten\na\tb\n"))
    assert [*split] == [*split] == [("a", "b")]
    (tmp_path / "train.tsv").write_text("de\ten\na\tc\n")
    with pytest.raises(UserError, match=r"train\.tsv, column en changed while it was read"):
        list(split)
