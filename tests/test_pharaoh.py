"""Pharaoh format: parsing, and error messages for invalid lines."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from softlookup.errors import UserError
from softlookup.text import pharaoh

LINK = st.tuples(st.integers(0, 211), st.integers(0, 211))


def test_both_notations_of_possible_links_are_read() -> None:
    found = pharaoh.parsed(" 0-0 1-2\t2?1 3p4 \r", "here")
    assert found.sure == {(0, 0), (1, 2)}
    assert found.possible == {(0, 0), (1, 2), (2, 1), (3, 4)}


@given(st.frozensets(LINK))
def test_written_links_are_read_back(links: frozenset[tuple[int, int]]) -> None:
    assert pharaoh.parsed(pharaoh.written(links), "here") == pharaoh.Gold(links, links)


def test_a_file_has_a_pair_for_each_line(tmp_path: Path) -> None:
    path = tmp_path / "gold"
    path.write_bytes(b"0-0\r\n\n1?1")
    assert [sorted(gold.possible) for gold in pharaoh.read(path)] == [[(0, 0)], [], [(1, 1)]]
    path.write_bytes(b"\n\n")
    assert len(pharaoh.read(path)) == 2
    path.write_bytes(b"")
    assert pharaoh.read(path) == []


@pytest.mark.parametrize("word", ["0–0", "1:2", "-1-2", "0-", "0-0,1-1", "1-2-3", "9999999-0", "0--0", "a-b"])
def test_an_invalid_link_is_reported_with_file_and_line(tmp_path: Path, word: str) -> None:
    path = tmp_path / "gold"
    path.write_text(f"0-0\n1-1 {word}\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"gold, line 2: .*expected|gold, line 2: links are digits"):
        pharaoh.read(path)


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="gone cannot be read"):
        pharaoh.read(tmp_path / "gone")


def test_links_outside_the_pair_are_rejected() -> None:
    pharaoh.check(pharaoh.parsed("2-4", "here"), 3, 5, "here")
    for line in ("3-0", "0?5"):
        with pytest.raises(UserError, match=r"here: link .* 3 source and 5 target words; .* from 0"):
            pharaoh.check(pharaoh.parsed(line, "here"), 3, 5, "here")
