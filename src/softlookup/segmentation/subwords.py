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
# Part of the cache key; raise it to retrain all cached tokenizers.
_VERSION = 1


class Subwords(Segmentation):
    """Pieces of words, down to single bytes, learnt from all training text; `longest` does not filter it.

    A vocabulary has at most `vocabulary_size` tokens: the four special tokens, the 256 bytes, and the pieces that
    `_trained` learns, fewer where the text yields fewer. With `joint` both languages share one vocabulary (the same
    object). Lines are normalized by `lowercase` and `unicode`. The same text gives the same vocabulary, which is cached
    (`content_cache`) under the SHA-256 of text, settings and the version of `tokenizers`.

    Raises UserError for a size below the number of special tokens and bytes, and for a side without text.
    """

    def __init__(self, vocabulary_size: int, joint: bool, lowercase: bool, unicode: str = "nfc") -> None:
        least = len(SPECIALS) + BYTES
        if vocabulary_size < least:
            raise UserError(
                f"segmentation.vocabulary_size={vocabulary_size}: expected at least {least}, "
                f"for {len(SPECIALS)} special tokens and {BYTES} bytes"
            )
        self.vocabulary_size = vocabulary_size
        self.joint = joint
        self.lowercase = lowercase
        self.unicode = Form(lowercase, unicode).unicode

    def learn(
        self,
        pairs: Iterable[tuple[str, str]],
        names: tuple[str, str],
        longest: int,  # noqa: ARG002 - lengths are counted in the tokens learnt here
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
        """Train a byte-level tokenizer of at most `size` pieces, without special tokens."""

    def _vocabulary(self, pairs: Iterable[tuple[str, str]], sides: tuple[int, ...]) -> SubwordVocabulary:
        import tokenizers

        form = Form(self.lowercase, self.unicode)

        def lines() -> Iterator[str]:
            # With a blank prepended, as in `SubwordVocabulary.cut`.
            for pair in pairs:
                for side in sides:
                    yield " " + form.cased(form.tidied(pair[side]))

        def make() -> bytes:
            # Without threads the trainer's sums do not depend on the number of cores, and a later fork is safe.
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
