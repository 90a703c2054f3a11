"""Lines from bytes: what ends one, and what is said of bytes that are no text."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from softlookup import stream
from softlookup.errors import UserError


def read(content: bytes) -> list[str]:
    return list(stream.lines(io.BytesIO(content), "input"))


@given(st.lists(st.text(st.characters(exclude_characters="\n\r\0\ufeff", exclude_categories=["Cs"]))))
def test_lines_come_back_whatever_is_in_them(lines: list[str]) -> None:
    assert read("".join(f"{line}\n" for line in lines).encode()) == lines
    assert read("".join(f"{line}\r\n" for line in lines).encode()) == lines


def test_only_ends_of_lines_end_lines() -> None:
    assert read(b"\xef\xbb\xbfa\xe2\x80\xa8b\x0bc\rd\n\n\ne") == ["a\u2028b\x0bc\rd", "", "", "e"]
    assert read(b"") == []


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"good\nM\xe4nner\n", r"input, line 2: byte 2 of the line \(offset 6 of the text\) is not UTF-8 .*iconv"),
        (b"a\nb\n\xff\xfea\0", r"input, line 3: byte 4 is NUL; expected UTF-8 text \(is it UTF-16"),
        (b"\n" + b"x" * (stream.LONGEST + 1), r"input, line 2: longer than 1,000,000 bytes"),
    ],
)
def test_what_is_no_line_of_text_is_told_with_its_line(content: bytes, told: str) -> None:
    with pytest.raises(UserError, match=told):
        read(content)


def test_lines_before_a_broken_one_are_given() -> None:
    found = stream.lines(io.BytesIO(b"good\n\xff\n"), "input")
    assert next(found) == "good"
    with pytest.raises(UserError):
        next(found)
