"""Normalize a line of text by the same rule in training, evaluation and inference. No torch."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from softlookup.errors import UserError, nearest, quote

UNICODE = ("nfc", "none")


@dataclass(frozen=True)
class Form:
    """Normalization of a line: strip surrounding blanks, compose characters, lowercase.

    `unicode` nfc composes a letter and a following accent into one character (Unicode normalization form C), as
    keyboards write it; none keeps characters as they are. Raises UserError for another `unicode`.
    """

    lowercase: bool = False
    unicode: str = "nfc"

    def __post_init__(self) -> None:
        if self.unicode not in UNICODE:
            raise UserError(f"segmentation.unicode={quote(self.unicode)}: {nearest(self.unicode, UNICODE)}")

    def tidied(self, text: str) -> str:
        """Return the line stripped and composed, as it is displayed and as a reference is scored. Raises UserError for
        lone surrogates (halves of characters)."""
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise UserError(
                f"{quote(repr(text))}: character {error.start + 1} is half a character; expected text"
            ) from error
        return self.composed(text.strip())

    def cased(self, text: str) -> str:
        """Return tidied text as it is tokenized: lowercased if `lowercase`."""
        return self.composed(text.lower()) if self.lowercase else text  # some letters compose only in lower case

    def composed(self, text: str) -> str:
        """Return the text in the normalization form that `unicode` names."""
        return unicodedata.normalize("NFC", text) if self.unicode == "nfc" else text
