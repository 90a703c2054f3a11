"""Tokens and their ids, and text to ids and back. The four specials have the same ids in every vocabulary."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from softlookup.errors import UserError, quote
from softlookup.text.normalize_line import Form
from softlookup.text.tokenizer_13a import words

PAD, BOS, EOS, UNK = 0, 1, 2, 3
SPECIALS = ("<pad>", "<s>", "</s>", "<unk>")
# How an unknown word stands in written text: one token, which no reference has. BLEU's tokenizer would break <unk>
# into three wrong ones.
UNKNOWN = "⁇"


class Vocabulary:
    """A fixed, ordered set of tokens; ids 0 to 3 are padding, begin, end and unknown. Text has blanks between tokens.

    `tokens` are labels to show a person; `form` says how a line is read. Raises UserError when it would hold nothing
    but specials, or a token twice.
    """

    def __init__(self, tokens: Iterable[str], form: Form = Form()) -> None:  # noqa: B008 - it cannot be changed
        self.form = form
        self.tokens: tuple[str, ...] = (*SPECIALS, *tokens)
        self._ids = {token: index for index, token in enumerate(self.tokens)}
        if len(self.tokens) == len(SPECIALS):
            raise UserError(
                "the vocabulary has nothing but specials; lower segmentation.minimum_frequency or check the data"
            )
        if len(self._ids) != len(self.tokens):
            raise UserError("the vocabulary has a token twice")

    def __len__(self) -> int:
        return len(self.tokens)

    def encode(self, tokens: Sequence[str]) -> tuple[int, ...]:
        """Tokens to ids; a token outside the vocabulary becomes UNK."""
        return tuple(self._ids.get(token, UNK) for token in tokens)

    def decode(self, ids: Iterable[int]) -> list[str]:
        """Ids to tokens, up to the first EOS; padding and BOS are left out."""
        return [self.tokens[index] for index in _written(ids)]

    def tidied(self, text: str) -> str:
        """Return a line as it is read, shown and scored (`Form.tidied`). Raises UserError for halves of characters."""
        return self.form.tidied(text)

    def read(self, text: str) -> tuple[int, ...]:
        """Return a line to ids, without BOS and EOS; none of a line of blanks. Raises UserError as `tidied` does."""
        return self.cut(self.tidied(text))

    def cut(self, text: str) -> tuple[int, ...]:
        """Text that is tidied, or the beginning of it, to ids."""
        return self.encode(text.split())

    def write(self, ids: Iterable[int]) -> str:
        """Ids to text, up to the first EOS, without padding and BOS; UNK is written ⁇."""
        return " ".join(UNKNOWN if index == UNK else self.tokens[index] for index in _written(ids))

    def spelled(self, text: str) -> str:
        """Return how a perfect output spells this text: as `write` joins what `read` splits, words of no vocabulary as
        they are. Raises UserError as `tidied` does."""
        return " ".join(self.tidied(text).split())

    def state(self) -> dict[str, Any]:
        """Plain JSON values, of which `restored` makes an equal vocabulary."""
        return {"kind": "tokens", "tokens": list(self.tokens[len(SPECIALS) :])}


class WordVocabulary(Vocabulary):
    """Words of sacrebleu's 13a tokenizer, of text lowercased first if its form says so. `write` puts blanks between
    them."""

    def cut(self, text: str) -> tuple[int, ...]:
        return self.encode(words(self.form.cased(text)))

    def spelled(self, text: str) -> str:
        return " ".join(words(self.form.cased(self.tidied(text))))

    def state(self) -> dict[str, Any]:
        return super().state() | {"kind": "words", **asdict(self.form)}


class SubwordVocabulary(Vocabulary):
    """Pieces of a byte-level model of Hugging Face `tokenizers`: `write(read(text))` is the line that was read.

    `model` is the JSON of a tokenizer without specials; piece i has the id i + 4. Every byte is a piece, so nothing is
    unknown. Text is read with one blank put before it, so that a word has the same pieces wherever it stands; `write`
    takes the blank away. Bytes that are no UTF-8, which only a model writes, become
    U+FFFD. In a label ▁ is a blank; what cannot be printed, a ▁ and a backslash are written as Python would escape
    them, so that different pieces have different labels.
    """

    def __init__(self, model: str, form: Form) -> None:
        from tokenizers import Tokenizer

        self._model = model
        self._tokenizer = Tokenizer.from_str(model)
        vocabulary: dict[str, int] = self._tokenizer.get_vocab()
        pieces = sorted(vocabulary, key=vocabulary.__getitem__)
        self._bytes = [b"", b"", b"", UNKNOWN.encode(), *(bytes(_BYTES[c] for c in piece) for piece in pieces)]
        super().__init__((_label(piece) for piece in self._bytes[len(SPECIALS) :]), form)

    def cut(self, text: str) -> tuple[int, ...]:
        if not text:
            return ()
        ids = self._tokenizer.encode(" " + self.form.cased(text), add_special_tokens=False).ids
        return tuple(index + len(SPECIALS) for index in ids)

    def write(self, ids: Iterable[int]) -> str:
        text = b"".join(self._bytes[index] for index in _written(ids)).decode(errors="replace")
        return self.form.composed(text.removeprefix(" "))

    def spelled(self, text: str) -> str:
        return self.form.cased(self.tidied(text))

    def state(self) -> dict[str, Any]:
        return {"kind": "subwords", "model": json.loads(self._model), **asdict(self.form)}


def restored(state: Any) -> Vocabulary:
    """Return the vocabulary whose `state()` this is. Raises UserError for what is none."""
    try:
        match state:
            case {"kind": "tokens", "tokens": [*tokens]}:
                return Vocabulary(tokens)
            case {"kind": "words", "tokens": [*tokens], "lowercase": bool(lowercase), "unicode": str(unicode)}:
                return WordVocabulary(tokens, Form(lowercase, unicode))
            case {"kind": "subwords", "model": dict(model), "lowercase": bool(lowercase), "unicode": str(unicode)}:
                return SubwordVocabulary(json.dumps(model), Form(lowercase, unicode))
        reason = "no kind that is known"
    except Exception as error:  # `tokenizers` raises nothing more special for a model that it cannot read
        reason = str(error)
    raise UserError(f"no vocabulary is described by {quote(repr(state))} ({quote(reason)}); its file is damaged")


def _written(ids: Iterable[int]) -> Iterable[int]:
    for index in ids:
        if index == EOS:
            return
        if index not in (PAD, BOS):
            yield index


def _label(piece: bytes) -> str:
    return "".join(map(_shown, piece.decode(errors="surrogateescape")))


def _shown(character: str) -> str:
    code = ord(character)
    if character == " ":
        return "▁"
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a character that stands in several pieces
        return f"\\x{code - 0xDC00:02x}"
    if character == "\\":
        return "\\\\"
    if character == "▁" or not character.isprintable():
        return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
    return character


# Byte-level models write every byte as one visible character (Radford et al. 2019): those that have none as U+0100 on.
_VISIBLE = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
_BYTES = {chr(byte): byte for byte in _VISIBLE} | {
    chr(0x100 + place): byte for place, byte in enumerate(sorted({*range(0x100)} - _VISIBLE))
}
