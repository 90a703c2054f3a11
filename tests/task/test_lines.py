"""Lines of text files: what ends a line, and the error message for every invalid file."""

import gzip
from pathlib import Path

import pytest

from softlookup.errors import UserError
from softlookup.task.lines import read_lines


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
    assert [*read_lines(plain)] == [*read_lines(packed)] == expected


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf"])
def test_an_empty_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "train.de").write_bytes(content)
    with pytest.raises(UserError, match=r"train\.de is empty"):
        [*read_lines(tmp_path / "train.de")]


def test_invalid_utf8_is_named_by_file_line_and_byte(tmp_path: Path) -> None:
    # "für" in Latin-1: its second byte is at offset 4 + 1 of the file and is byte 2 of line 3.
    (tmp_path / "train.de").write_bytes(b"a\nb\nf\xfcr\n")
    with pytest.raises(UserError, match=r"train\.de, line 3: byte 2 of the line \(offset 5 of the text\) is not UTF-8"):
        [*read_lines(tmp_path / "train.de")]
    (tmp_path / "train.de").write_bytes(b"\xfc")
    with pytest.raises(UserError, match=r"line 1: byte 1 of the line \(offset 0 of the text\)"):
        [*read_lines(tmp_path / "train.de")]


def test_broken_gzip_is_named(tmp_path: Path) -> None:
    packed = gzip.compress("\n".join(map(str, range(997))).encode())
    flipped = bytearray(packed)
    flipped[len(packed) // 2] ^= 0xFF
    for content in (packed[:-11], bytes(flipped), b"plain text\n", packed + b"more"):
        (tmp_path / "train.de.gz").write_bytes(content)
        with pytest.raises(UserError, match=r"train\.de\.gz is not a complete gzip file"):
            [*read_lines(tmp_path / "train.de.gz")]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"train\.de cannot be read"):
        [*read_lines(tmp_path / "train.de")]
