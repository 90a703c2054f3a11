"""Tokens and their ids. The four specials have the same ids in every vocabulary of the project."""

from collections.abc import Iterable, Sequence

from softlookup.errors import UserError

PAD, BOS, EOS, UNK = 0, 1, 2, 3
SPECIALS = ("<pad>", "<s>", "</s>", "<unk>")


class Vocabulary:
    """A fixed, ordered set of tokens; ids 0 to 3 are padding, begin, end and unknown.

    Raises UserError when it would hold nothing but specials, or a token twice.
    """

    def __init__(self, tokens: Iterable[str]) -> None:
        self.tokens: tuple[str, ...] = (*SPECIALS, *tokens)
        self._ids = {token: index for index, token in enumerate(self.tokens)}
        if len(self.tokens) == len(SPECIALS):
            raise UserError("the vocabulary has nothing but specials; lower task.minimum_frequency or check the data")
        if len(self._ids) != len(self.tokens):
            raise UserError("the vocabulary has a token twice")

    def __len__(self) -> int:
        return len(self.tokens)

    def encode(self, words: Sequence[str]) -> tuple[int, ...]:
        """Words to ids; a word outside the vocabulary becomes UNK."""
        return tuple(self._ids.get(word, UNK) for word in words)

    def decode(self, ids: Iterable[int]) -> list[str]:
        """Ids to words, up to the first EOS; padding and BOS are left out."""
        words = []
        for index in ids:
            if index == EOS:
                break
            if index not in (PAD, BOS):
                words.append(self.tokens[index])
        return words
