"""Map token alignments to word alignments.

Words are separated by ASCII white space, as in the programs that read Pharaoh lines.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence

from softlookup.text.vocabulary import Vocabulary

_WORD = re.compile(r"\S+", re.ASCII)


def split(text: str) -> list[str]:
    """Return the words of a line.

    >>> split(" ein  Mann\\u00a0schläft. ")
    ['ein', 'Mann\\xa0schläft.']
    """
    return _WORD.findall(text)


def of_read(vocabulary: Vocabulary, text: str) -> tuple[int, ...]:
    """Return, for each token of `vocabulary.read(text)`, the index of its word in `text`.

    The line is tokenized up to the end of each word: no token spans two words, so the tokens that a word adds belong to
    it. Words that consist of non-ASCII blanks, which are stripped at the ends of a line, count as words without tokens.
    """
    read = vocabulary.tidied(text)
    unread = len(text) - len(text.lstrip())
    first = len(split(f"{text[:unread]}x")) - 1  # the last word of the stripped part may continue in the rest
    ends = [len(vocabulary.cut(read[: found.end()])) for found in _WORD.finditer(read)]
    last = max(len(ends) - 1, 0)
    return tuple(first + min(bisect_right(ends, token), last) for token in range(len(vocabulary.cut(read))))


def of_written(vocabulary: Vocabulary, ids: Sequence[int]) -> tuple[int, ...]:
    """Return, for each of `ids` (without EOS), the index of its word in `vocabulary.write(ids)`.

    A token that writes nothing, or only blanks, belongs to the word before it.
    """
    reached = [len(split(vocabulary.write(ids[: end + 1]))) for end in range(len(ids))]
    # Later tokens may join two words into one: cap the index at the last word of the whole text.
    return tuple(max(min(count, reached[-1]) - 1, 0) for count in reached)
