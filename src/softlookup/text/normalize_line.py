"""Normalize a line of text, by one rule for training, evaluation and use. No torch."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from softlookup.errors import UserError, nearest, quote

UNICODE = ("nfc", "none")


@dataclass(frozen=True)
class Form:
    """Blanks around a line are no part of it. With `unicode` nfc a letter and the accent behind it are one character
    (Unicode's normalization form C), as keyboards write it; with none characters stay as they are given.

    Raises UserError for another `unicode`.
    """

    lowercase: bool = False
    unicode: str = "nfc"

    def __post_init__(self) -> None:
        if self.unicode not in UNICODE:
            raise UserError(f"segmentation.unicode={quote(self.unicode)}: {nearest(self.unicode, UNICODE)}")

    def tidied(self, text: str) -> str:
        """Return the line as people are shown it, and as a reference is scored. Raises UserError for halves of
        characters (lone surrogates)."""
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise UserError(
                f"{quote(repr(text))}: character {error.start + 1} is half a character; expected text"
            ) from error
        return self.composed(text.strip())

    def cased(self, text: str) -> str:
        """Text that is tidied, as it is cut into tokens."""
        return self.composed(text.lower()) if self.lowercase else text  # some letters compose in lower case alone

    def composed(self, text: str) -> str:
        """Text in the form that `unicode` names."""
        return unicodedata.normalize("NFC", text) if self.unicode == "nfc" else text
