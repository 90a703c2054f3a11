"""Lines from bytes: line ends, and error messages for bytes that are not text."""

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from softlookup.text import utf8_lines


def read(content: bytes) -> list[str | utf8_lines.LineError]:
    return list(utf8_lines.lines(io.BytesIO(content), "input"))


@given(st.lists(st.text(st.characters(exclude_characters="\n\r\0\ufeff", exclude_categories=["Cs"]))))
def test_lines_of_any_content_are_read_back(lines: list[str]) -> None:
    assert read("".join(f"{line}\n" for line in lines).encode()) == lines
    assert read("".join(f"{line}\r\n" for line in lines).encode()) == lines


def test_only_newlines_end_lines() -> None:
    assert read(b"\xef\xbb\xbfa\xe2\x80\xa8b\x0bc\rd\n\n\ne") == ["a\u2028b\x0bc\rd", "", "", "e"]
    assert read(b"") == []


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (b"M\xe4nner", r"input, line 2: byte 2 of the line \(offset 6 of the text\) is not UTF-8 .*iconv"),
        (b"\xff\xfea\0", r"input, line 2: byte 4 is NUL; expected UTF-8 text \(is it UTF-16"),
        (b"x" * (utf8_lines.LONGEST + 1), r"input, line 2: longer than 1,000,000 bytes"),
        (b"x" * (3 * utf8_lines.LONGEST), r"input, line 2: longer than 1,000,000 bytes"),
    ],
)
def test_an_invalid_line_is_reported_by_number_and_affects_no_other(broken: bytes, message: str) -> None:
    good, error, then, last = read(b"good\n" + broken + b"\nthen\n\xff")
    assert (good, then) == ("good", "then")
    assert isinstance(error, utf8_lines.LineError)
    assert re.match(message, str(error))
    offset = len(b"good\n" + broken + b"\nthen\n")
    assert str(last).startswith(f"input, line 4: byte 1 of the line (offset {offset} of the text)")


def test_a_line_that_is_too_long_is_reported_before_it_is_read_completely() -> None:
    class Endless(io.BytesIO):
        def readline(self, size: int | None = -1) -> bytes:
            assert not self.tell()
            self.seek(1)
            return b"x" * (size or 0)

    assert "longer than" in str(next(utf8_lines.lines(Endless(), "input")))
