"""Tokens and their ids. The four specials have the same ids in every vocabulary of the project."""

from collections.abc import Iterable, Sequence
from typing import Any

from softlookup.errors import UserError

PAD, BOS, EOS, UNK = 0, 1, 2, 3
SPECIALS = ("<pad>", "<s>", "</s>", "<unk>")


class Vocabulary:
    """A fixed, ordered set of tokens; ids 0 to 3 are padding, begin, end and unknown.

    `lines` says how a line becomes words: cut at blanks, or lowercased (13a-lowercased) or not (13a) and cut by
    sacrebleu's 13a. Raises UserError when it would hold nothing but specials, or a token twice.
    """

    def __init__(self, tokens: Iterable[str], lines: str = "blanks") -> None:
        self.lines = lines
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

    def read(self, text: str) -> tuple[int, ...]:
        """The ids of a line of text, as training would have had them."""
        if self.lines == "blanks":
            return self.encode(text.split())
        from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

        return self.encode(Tokenizer13a()(text.lower() if self.lines == "13a-lowercased" else text).split())

    def write(self, ids: Iterable[int]) -> str:
        """The text that ids stand for, up to the first EOS: words joined by blanks."""
        return " ".join(self.decode(ids))

    def state(self) -> dict[str, Any]:
        """All of it as plain values; `restored` takes them."""
        return {"tokens": list(self.tokens[len(SPECIALS) :]), "lines": self.lines}


def restored(state: dict[str, Any]) -> Vocabulary:
    """The vocabulary whose `state` this is."""
    return Vocabulary(state["tokens"], state["lines"])
