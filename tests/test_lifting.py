"""Alignment of tokens to words, for tokenizations finer than white space and for pieces without word boundaries."""

import re
from collections.abc import Iterable
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st

from softlookup.text import word_alignment
from softlookup.text.normalize_line import Form
from softlookup.text.vocabulary import Vocabulary, WordVocabulary


class Pieces:
    """A vocabulary of pieces of at most two characters; a space belongs to the first piece of the following word."""

    def __init__(self) -> None:
        self.tokens: list[str] = []

    def tidied(self, text: str) -> str:
        return Form().tidied(text)

    def read(self, text: str) -> tuple[int, ...]:
        return self.cut(self.tidied(text))

    def cut(self, text: str) -> tuple[int, ...]:
        cut = [piece for word in re.findall(r"\s*\S+|\s+", text) for piece in re.findall(r"(?s).{1,2}", word)]
        self.tokens += cut
        return tuple(len(self.tokens) - len(cut) + place for place in range(len(cut)))

    def write(self, ids: Iterable[int]) -> str:
        return "".join(self.tokens[i] for i in ids)


def pieces() -> Vocabulary:
    return cast(Vocabulary, Pieces())


LINES = st.text(st.sampled_from("abcü.,…语 \t\u00a0\u2028"), max_size=23)


@settings(deadline=None)
@given(LINES)
def test_the_pieces_of_a_word_concatenate_to_it(line: str) -> None:
    vocabulary = pieces()
    cut = word_alignment.of_read(vocabulary, line)
    ids = vocabulary.read(line)
    spelled = ["".join(vocabulary.tokens[i] for i, k in zip(ids, cut, strict=True) if k == word) for word in range(23)]
    # Non-ASCII spaces at the ends of a line are not read, but words keep their positions.
    first, last = len(line) - len(line.lstrip()), len(line.rstrip())
    found = [(max(word.start(), first), min(word.end(), last)) for word in re.finditer(r"(?a:\S)+", line)]
    assert [word.strip(" \t") for word in spelled[: len(found)]] == [line[i:j] for i, j in found]
    assert len(found) == len(word_alignment.split(line))


@settings(deadline=None)
@given(LINES)
def test_reading_and_writing_align_pieces_to_the_same_words(line: str) -> None:
    vocabulary = pieces()
    ids = vocabulary.read(line)
    blanks = [not vocabulary.tokens[i].strip(" \t") for i in ids]
    read, written = word_alignment.of_read(vocabulary, line), word_alignment.of_written(vocabulary, ids)
    unread = len(line) - len(line.lstrip())
    first = len(re.findall(r"(?a:\S)+", f"{line[:unread]}x")) - 1
    assert all(one == first + other for one, other, blank in zip(read, written, blanks, strict=True) if not blank)


def test_punctuation_belongs_to_the_adjacent_word() -> None:
    vocabulary = WordVocabulary(["ein", "mann", ",", "schläft", "."], Form(lowercase=True))
    assert word_alignment.of_read(vocabulary, "Ein  Mann, der \u201eschläft\u201c.") == (0, 1, 1, 2, 3, 3)
    assert word_alignment.of_read(vocabulary, "3.5 Männer") == (0, 1)
    assert word_alignment.of_written(vocabulary, vocabulary.encode(["ein", "mann", "."])) == (0, 1, 2)


def test_an_empty_line_has_no_tokens() -> None:
    vocabulary = Vocabulary(["a"])
    assert word_alignment.of_read(vocabulary, " \t") == word_alignment.of_written(vocabulary, ()) == ()


def test_word_positions_count_from_the_original_line() -> None:
    vocabulary = WordVocabulary(["ein", "m\u00e4dchen", "."], Form(lowercase=True))
    assert word_alignment.of_read(vocabulary, "\u2003 Ein Ma\u0308dchen.\u00a0 ") == (1, 2, 2)
    assert word_alignment.of_read(vocabulary, "\u00a0Ein \u00a0 Ma\u0308dchen.") == (0, 2, 2)
