"""Reading line-aligned text: what a line is, and one plain sentence for every fault."""

import gzip
from pathlib import Path

import pytest

from softlookup.errors import UserError
from softlookup.task import lines
from softlookup.task.lines import read_folder, read_hub, read_lines

SPLITS = ("train", "val", "test_2016_flickr")


def folder(path: Path, source: str = "de", target: str = "en") -> Path:
    """A folder of three splits, whose lines say where they stand."""
    path.mkdir(exist_ok=True)
    for stem in SPLITS:
        for language in (source, target):
            (path / f"{stem}.{language}").write_text(f"{stem} {language} 1\n{stem} {language} 2\n")
    return path


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a\nb\n", ["a", "b"]),
        (b"a\nb", ["a", "b"]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"\xef\xbb\xbfa\nb\n", ["a", "b"]),
        (b"a\n\xef\xbb\xbfb\n", ["a", "\ufeffb"]),
        ("a\u2028b\x0bc\x85d\rf\x0cg\u2029h\n".encode(), ["a\u2028b\x0bc\x85d\rf\x0cg\u2029h"]),
        (b"a\n\nb\n\n", ["a", "", "b", ""]),
        (b"\n", [""]),
        (b"a\r\nb\r", ["a", "b\r"]),
    ],
)
def test_lines_end_at_newline_only(tmp_path: Path, content: bytes, expected: list[str]) -> None:
    plain, packed = tmp_path / "x.de", tmp_path / "x.de.gz"
    plain.write_bytes(content)
    packed.write_bytes(gzip.compress(content))
    assert read_lines(plain) == read_lines(packed) == expected


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf"])
def test_an_empty_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "train.de").write_bytes(content)
    with pytest.raises(UserError, match=r"train\.de is empty"):
        read_lines(tmp_path / "train.de")


def test_invalid_utf8_is_named_by_file_line_and_byte(tmp_path: Path) -> None:
    # "für" in Latin-1: its second byte stands at offset 4 + 1 of the file and is byte 2 of line 3.
    (tmp_path / "train.de").write_bytes(b"a\nb\nf\xfcr\n")
    with pytest.raises(UserError, match=r"train\.de, line 3: byte 2 of the line \(offset 5 of the text\) is not UTF-8"):
        read_lines(tmp_path / "train.de")
    (tmp_path / "train.de").write_bytes(b"\xfc")
    with pytest.raises(UserError, match=r"line 1: byte 1 of the line \(offset 0 of the text\)"):
        read_lines(tmp_path / "train.de")


def test_broken_gzip_is_named(tmp_path: Path) -> None:
    packed = gzip.compress("\n".join(map(str, range(997))).encode())
    flipped = bytearray(packed)
    flipped[len(packed) // 2] ^= 0xFF
    for content in (packed[:-11], bytes(flipped), b"plain text\n", packed + b"more"):
        (tmp_path / "train.de.gz").write_bytes(content)
        with pytest.raises(UserError, match=r"train\.de\.gz is no whole gzip file"):
            read_lines(tmp_path / "train.de.gz")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"train\.de cannot be read"):
        read_lines(tmp_path / "train.de")


def test_a_folder_plain_and_gz_are_equal_and_changes_are_read(tmp_path: Path) -> None:
    path = folder(tmp_path / "text")
    plain = read_folder(path, "de", "en")
    assert plain["validation"].pairs[:] == {"de": ["val de 1", "val de 2"], "en": ["val en 1", "val en 2"]}
    assert list(plain["test"].pairs.column_names) == ["de", "en"]
    for file in list(path.iterdir()):
        (path / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    packed = read_folder(path, "de", "en")
    assert {k: v.pairs[:] for k, v in packed.items()} == {k: v.pairs[:] for k, v in plain.items()}
    (path / "val.de.gz").write_bytes(gzip.compress(b"new\nnewer\n"))
    assert read_folder(path, "de", "en")["validation"].pairs["de"][:] == ["new", "newer"]


def test_any_pair_of_languages_in_either_direction(tmp_path: Path) -> None:
    path = folder(tmp_path / "text", "fi", "sw")
    there, back = read_folder(path, "fi", "sw"), read_folder(path, "sw", "fi")
    assert there["train"].pairs["sw"][:] == back["train"].pairs["sw"][:] == ["train sw 1", "train sw 2"]
    assert list(back["train"].names) == ["sw", "fi"]


def test_test_is_another_name_of_the_test_set_but_not_beside_it(tmp_path: Path) -> None:
    path = folder(tmp_path / "text")
    (path / "test_2016_flickr.en").rename(path / "test.en")
    with pytest.raises(UserError, match="not two sides of one text"):
        read_folder(path, "de", "en")
    (path / "test_2016_flickr.de").rename(path / "test.de")
    assert read_folder(path, "de", "en")["test"].names["de"].endswith("test.de")
    (path / "test_2016_flickr.de").write_text("x\ny\n")
    with pytest.raises(UserError, match=r"has test_2016_flickr\.de and test\.de; leave one"):
        read_folder(path, "de", "en")


def test_unequal_line_counts_name_both_files(tmp_path: Path) -> None:
    path = folder(tmp_path / "text")
    (path / "val.en").write_text("one\ntwo\nthree\n")
    with pytest.raises(UserError, match=r"val\.de has 2 lines and .*val\.en has 3 lines"):
        read_folder(path, "de", "en")


def test_a_missing_file_says_what_was_expected_and_what_is_there(tmp_path: Path) -> None:
    path = folder(tmp_path / "text")
    with pytest.raises(
        UserError, match=r"has no train\.fr or train\.fr\.gz; it holds: test_2016_flickr\.de, .*val\.en"
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


def test_a_path_that_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "nowhere"):
        with pytest.raises(UserError, match=r"is not a folder; expected one with train\.de, train\.en"):
            read_folder(path, "de", "en")


def hub(monkeypatch: pytest.MonkeyPatch, splits: tuple[str, ...] = ("train", "validation", "test")) -> None:
    """A hub that answers every name with the same small dataset."""
    from datasets import Dataset, DatasetDict

    data = DatasetDict({split: Dataset.from_dict({"en": [split], "de": [split.upper()]}) for split in splits})
    monkeypatch.setattr(lines, "hub_unreachable", lambda: None)
    monkeypatch.setattr("datasets.load_dataset", lambda _name: data)


def test_the_hub_gives_the_same_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    hub(monkeypatch)
    splits = read_hub("someone/text", "de", "en")
    assert {k: (v.pairs["de"][:], v.pairs["en"][:]) for k, v in splits.items()} == {
        "train": (["TRAIN"], ["train"]),
        "validation": (["VALIDATION"], ["validation"]),
        "test": (["TEST"], ["test"]),
    }
    assert splits["test"].names == {
        "de": "someone/text, split test, column de",
        "en": "someone/text, split test, column en",
    }


def test_a_language_or_split_that_the_hub_does_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    from datasets import Dataset

    hub(monkeypatch)
    with pytest.raises(UserError, match=r"no language fr; valid: de, en \(or give task\.path=DIR with train\.fr"):
        read_hub("someone/text", "fr", "en")
    hub(monkeypatch, splits=("train", "test"))
    with pytest.raises(UserError, match="no split validation; it has train, test"):
        read_hub("someone/text", "de", "en")
    empty = Dataset.from_dict({"de": [], "en": []})
    monkeypatch.setattr("datasets.load_dataset", lambda _name: {"train": empty})
    with pytest.raises(UserError, match="has nothing in its split train"):
        read_hub("someone/text", "de", "en")


def test_a_failing_hub_is_one_plain_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def fail(_name: str) -> None:
        raise ConnectionError("no route\nand a long story")

    monkeypatch.setattr(lines, "hub_unreachable", lambda: None)
    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(UserError) as caught:
        read_hub("someone/text", "de", "en")
    assert str(caught.value) == (
        "someone/text could not be loaded from the Hugging Face hub (no route); give task.path=DIR, a folder with "
        "train.de, train.en, val.de, val.en, test.de, test.en (plain or .gz)"
    )


def test_an_unreachable_hub_is_not_asked_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The library's own offline path: its cache and nothing else; the setting is put back afterwards."""
    import datasets
    import huggingface_hub

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path))
    # What it would reach without our setting fails too, so that this test never uses a network.
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert "offline mode is enabled" in str(lines.hub_unreachable())
    monkeypatch.setattr(lines, "hub_unreachable", lambda: "no name server")
    with pytest.raises(UserError, match=r"could not be loaded from the Hugging Face hub \(no name server\)"):
        read_hub("someone/text", "de", "en")
    assert datasets.config.HF_HUB_OFFLINE is False
    seen = []
    monkeypatch.setattr(datasets, "load_dataset", lambda _name: seen.append(datasets.config.HF_HUB_OFFLINE) or {})
    with pytest.raises(UserError, match="no split train"):
        read_hub("someone/text", "de", "en")
    assert seen == [True]
