"""Map token alignments to word alignments.

A word is what blanks enclose (ASCII white space, as the programs that read Pharaoh lines cut them).
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
    """For each token of `vocabulary.read(text)`, the place of the word of `text` that it is part of.

    The line is read up to the end of each word: no token spans two words, so that the tokens which a word adds are its
    own. Words of blanks that only Unicode knows, which are not read at the ends of a line, count as words and have no
    tokens.
    """
    read = vocabulary.tidied(text)
    unread = len(text) - len(text.lstrip())
    first = len(split(f"{text[:unread]}x")) - 1  # of what is not read, the last word may go on in what is
    ends = [len(vocabulary.cut(read[: found.end()])) for found in _WORD.finditer(read)]
    last = max(len(ends) - 1, 0)
    return tuple(first + min(bisect_right(ends, token), last) for token in range(len(vocabulary.cut(read))))


def of_written(vocabulary: Vocabulary, ids: Sequence[int]) -> tuple[int, ...]:
    """For each of `ids` (without EOS), the place of the word of `vocabulary.write(ids)` that it is part of.

    A token that writes nothing, or blanks alone, is counted to the word before it.
    """
    reached = [len(split(vocabulary.write(ids[: end + 1]))) for end in range(len(ids))]
    # What follows may join two words to one: no token lies behind the last of the whole.
    return tuple(max(min(count, reached[-1]) - 1, 0) for count in reached)
