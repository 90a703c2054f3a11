"""Lines from bytes: what ends one, and what is said of bytes that are no text."""

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from softlookup.text import utf8_lines


def read(content: bytes) -> list[str | utf8_lines.LineError]:
    return list(utf8_lines.lines(io.BytesIO(content), "input"))


@given(st.lists(st.text(st.characters(exclude_characters="\n\r\0\ufeff", exclude_categories=["Cs"]))))
def test_lines_come_back_whatever_is_in_them(lines: list[str]) -> None:
    assert read("".join(f"{line}\n" for line in lines).encode()) == lines
    assert read("".join(f"{line}\r\n" for line in lines).encode()) == lines


def test_only_ends_of_lines_end_lines() -> None:
    assert read(b"\xef\xbb\xbfa\xe2\x80\xa8b\x0bc\rd\n\n\ne") == ["a\u2028b\x0bc\rd", "", "", "e"]
    assert read(b"") == []


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (b"M\xe4nner", r"input, line 2: byte 2 of the line \(offset 6 of the text\) is not UTF-8 .*iconv"),
        (b"\xff\xfea\0", r"input, line 2: byte 4 is NUL; expected UTF-8 text \(is it UTF-16"),
        (b"x" * (utf8_lines.LONGEST + 1), r"input, line 2: longer than 1,000,000 bytes"),
        (b"x" * (3 * utf8_lines.LONGEST), r"input, line 2: longer than 1,000,000 bytes"),
    ],
)
def test_what_is_no_line_of_text_is_told_with_its_line_and_costs_no_other(broken: bytes, told: str) -> None:
    good, refused, then, last = read(b"good\n" + broken + b"\nthen\n\xff")
    assert (good, then) == ("good", "then")
    assert isinstance(refused, utf8_lines.LineError)
    assert re.match(told, str(refused))
    offset = len(b"good\n" + broken + b"\nthen\n")
    assert str(last).startswith(f"input, line 4: byte 1 of the line (offset {offset} of the text)")


def test_a_line_without_end_is_told_before_its_rest_is_read() -> None:
    class Endless(io.BytesIO):
        def readline(self, size: int | None = -1) -> bytes:
            assert not self.tell()
            self.seek(1)
            return b"x" * (size or 0)

    assert "longer than" in str(next(utf8_lines.lines(Endless(), "input")))
