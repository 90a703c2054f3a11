"""Map text to token ids and back. The four special tokens have the same ids in every vocabulary."""

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
# Spelling of an unknown word in output text: one token that no reference has. BLEU's tokenizer would split <unk> into
# three tokens.
UNKNOWN = "⁇"


class Vocabulary:
    """A fixed, ordered set of tokens; ids 0 to 3 are padding, begin, end and unknown. Text has blanks between tokens.

    `tokens` are labels for display; `form` says how a line is normalized. Raises UserError for a vocabulary with only
    special tokens, or with a duplicate.
    """

    def __init__(self, tokens: Iterable[str], form: Form = Form()) -> None:  # noqa: B008 - Form is immutable
        self.form = form
        self.tokens: tuple[str, ...] = (*SPECIALS, *tokens)
        self._ids = {token: index for index, token in enumerate(self.tokens)}
        if len(self.tokens) == len(SPECIALS):
            raise UserError(
                "the vocabulary has only special tokens; lower segmentation.minimum_frequency or check the data"
            )
        if len(self._ids) != len(self.tokens):
            raise UserError("the vocabulary has a token twice")

    def __len__(self) -> int:
        return len(self.tokens)

    def encode(self, tokens: Sequence[str]) -> tuple[int, ...]:
        """Convert tokens to ids; a token outside the vocabulary becomes UNK."""
        ids = self._ids
        return tuple([ids.get(token, UNK) for token in tokens])

    def decode(self, ids: Iterable[int]) -> list[str]:
        """Convert ids to tokens, up to the first EOS, without padding and BOS."""
        return [self.tokens[index] for index in _written(ids)]

    def tidied(self, text: str) -> str:
        """Return a line as it is read, displayed and scored (`Form.tidied`). Raises UserError for lone surrogates."""
        return self.form.tidied(text)

    def read(self, text: str) -> tuple[int, ...]:
        """Convert a line to ids, without BOS and EOS; a blank line has none. Raises UserError as `tidied` does."""
        return self.cut(self.tidied(text))

    def cut(self, text: str) -> tuple[int, ...]:
        """Convert tidied text, or a prefix of it, to ids."""
        return self.encode(text.split())

    def write(self, ids: Iterable[int]) -> str:
        """Convert ids to text, up to the first EOS, without padding and BOS; UNK is written ⁇."""
        return " ".join(UNKNOWN if index == UNK else self.tokens[index] for index in _written(ids))

    def spelled(self, text: str) -> str:
        """Return the text as a perfect output spells it: split by `read` and joined by `write`, with unknown words
        kept. Raises UserError as `tidied` does."""
        return " ".join(self.tidied(text).split())

    def state(self) -> dict[str, Any]:
        """Return plain JSON values from which `restored` makes an equal vocabulary."""
        return {"kind": "tokens", "tokens": list(self.tokens[len(SPECIALS) :])}


class WordVocabulary(Vocabulary):
    """Words of sacrebleu's 13a tokenizer, lowercased first if the form says so. `write` puts blanks between them."""

    def cut(self, text: str) -> tuple[int, ...]:
        return self.encode(words(self.form.cased(text)))

    def spelled(self, text: str) -> str:
        return " ".join(words(self.form.cased(self.tidied(text))))

    def state(self) -> dict[str, Any]:
        return super().state() | {"kind": "words", **asdict(self.form)}


class SubwordVocabulary(Vocabulary):
    """Pieces of a byte-level model of Hugging Face `tokenizers`: `write(read(text))` is the line that was read.

    `model` is the JSON of a tokenizer without special tokens; piece i has the id i + 4. Every byte is a piece, so
    nothing is unknown. A blank is prepended before encoding, so that a word has the same pieces at every position;
    `write` removes it. Bytes that are not UTF-8, which only a model produces, become U+FFFD. In labels ▁ is a blank;
    unprintable characters, ▁ itself and backslashes are escaped as in Python, so that different pieces have different
    labels.
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
    """Restore a vocabulary from its `state()`. Raises UserError for an invalid state."""
    try:
        match state:
            case {"kind": "tokens", "tokens": [*tokens]}:
                return Vocabulary(tokens)
            case {"kind": "words", "tokens": [*tokens], "lowercase": bool(lowercase), "unicode": str(unicode)}:
                return WordVocabulary(tokens, Form(lowercase, unicode))
            case {"kind": "subwords", "model": dict(model), "lowercase": bool(lowercase), "unicode": str(unicode)}:
                return SubwordVocabulary(json.dumps(model), Form(lowercase, unicode))
        reason = "unknown kind"
    except Exception as error:  # `tokenizers` raises a plain Exception for a model that it cannot read
        reason = str(error)
    raise UserError(f"not a vocabulary: {quote(repr(state))} ({quote(reason)}); its file is damaged")


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
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a character that is split over several pieces
        return f"\\x{code - 0xDC00:02x}"
    if character == "\\":
        return "\\\\"
    if character == "▁" or not character.isprintable():
        return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
    return character


# Byte-level models write each byte as one visible character (Radford et al. 2019), invisible ones from U+0100 on.
_VISIBLE = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
_BYTES = {chr(byte): byte for byte in _VISIBLE} | {
    chr(0x100 + place): byte for place, byte in enumerate(sorted({*range(0x100)} - _VISIBLE))
}
