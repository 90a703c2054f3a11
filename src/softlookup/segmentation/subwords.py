"""Train, cache and restore byte-level subword vocabularies."""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from softlookup.contract import Segmentation
from softlookup.errors import UserError
from softlookup.system import content_cache
from softlookup.system.environment import variable
from softlookup.text.normalize_line import Form
from softlookup.text.vocabulary import SPECIALS, SubwordVocabulary

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BYTES = 256
# What a kept tokenizer depends on besides its text and settings; another number makes all of them anew.
_VERSION = 1


class Subwords(Segmentation):
    """Pieces of words, down to single bytes, learnt from all training text, whatever `longest` leaves of it.

    A vocabulary has at most `vocabulary_size` tokens: the four specials, the 256 bytes, and what `_trained` learns. It
    has fewer where the text has no more to give. With `joint` both languages share one (the same object), otherwise
    each has its own. Lines are read in the form of `lowercase` and `unicode`. The same text gives the same vocabulary.
    It is kept in the cache (`cache.folder`) by the SHA-256 of text, settings and the version of `tokenizers`.

    Raises UserError for a size that has no room for the specials and the bytes, and for a side without any text.
    """

    def __init__(self, vocabulary_size: int, joint: bool, lowercase: bool, unicode: str = "nfc") -> None:
        least = len(SPECIALS) + BYTES
        if vocabulary_size < least:
            raise UserError(
                f"segmentation.vocabulary_size={vocabulary_size}: expected at least {least}, "
                f"for {len(SPECIALS)} specials and {BYTES} bytes"
            )
        self.vocabulary_size = vocabulary_size
        self.joint = joint
        self.lowercase = lowercase
        self.unicode = Form(lowercase, unicode).unicode

    def learn(
        self,
        pairs: Iterable[tuple[str, str]],
        names: tuple[str, str],
        longest: int,  # noqa: ARG002 - lengths are counted in what is learnt here
    ) -> tuple[SubwordVocabulary, SubwordVocabulary]:
        for side, name in enumerate(names):
            if not any(pair[side].strip() for pair in pairs):
                raise UserError(f"{name} has no text to learn subwords from")
        if self.joint:
            both = self._vocabulary(pairs, (0, 1))
            return both, both
        return self._vocabulary(pairs, (0,)), self._vocabulary(pairs, (1,))

    @abstractmethod
    def _trained(self, lines: Iterator[str], size: int) -> Tokenizer:
        """Return a byte-level tokenizer of at most `size` pieces, without specials."""

    def _vocabulary(self, pairs: Iterable[tuple[str, str]], sides: tuple[int, ...]) -> SubwordVocabulary:
        import tokenizers

        form = Form(self.lowercase, self.unicode)

        def lines() -> Iterator[str]:
            # One blank ahead, as `SubwordVocabulary.cut` puts it.
            for pair in pairs:
                for side in sides:
                    yield " " + form.cased(form.tidied(pair[side]))

        def make() -> bytes:
            # Sums of a trainer do not depend on the number of cores, and a later fork finds no threads of its.
            with variable("TOKENIZERS_PARALLELISM", "false"):
                return self._trained(lines(), self.vocabulary_size - len(SPECIALS)).to_str().encode()

        settings: dict[str, Any] = {"kind": type(self).__name__, "size": self.vocabulary_size}
        settings |= {"version": _VERSION, "tokenizers": tokenizers.__version__}
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
        for line in lines():
            content = line.encode()
            digest.update(b"%d:" % len(content) + content)
        model = content_cache.kept(f"segmentation/{digest.hexdigest()}.json", make)
        return SubwordVocabulary(model.decode(), form)
