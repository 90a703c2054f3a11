"""Segment text into words."""

from collections import Counter
from collections.abc import Iterable
from sys import intern

from softlookup.contract import Segmentation
from softlookup.errors import UserError
from softlookup.text.normalize_line import Form
from softlookup.text.tokenizer_13a import words
from softlookup.text.vocabulary import SPECIALS, WordVocabulary


class Word(Segmentation):
    """Words of sacrebleu's 13a tokenizer, from lines normalized by `lowercase` and `unicode`. 13a splits space-joined
    words into the same words again, so BLEU of the output against the reference is valid.

    The vocabulary of a language has the words that occur at least `minimum_frequency` times in its training text, most
    frequent first, ties by code point; at most `vocabulary_size` tokens with the four special ones, for the target
    `target_vocabulary_size` (None: no limit). All other words are UNK. Pairs with a side of no words or of more than
    `longest` are skipped. Raises UserError where no pair is left, and where no word is frequent enough.
    """

    def __init__(
        self,
        minimum_frequency: int,
        lowercase: bool,
        vocabulary_size: int | None = None,
        target_vocabulary_size: int | None = None,
        unicode: str = "nfc",
    ) -> None:
        if minimum_frequency < 1:
            raise UserError(f"segmentation.minimum_frequency={minimum_frequency}: expected 1 or more")
        sizes = {"vocabulary_size": vocabulary_size, "target_vocabulary_size": target_vocabulary_size}
        for key, size in sizes.items():
            if size is not None and size <= len(SPECIALS):
                raise UserError(f"segmentation.{key}={size}: expected null or more than {len(SPECIALS)} special tokens")
        self.minimum_frequency = minimum_frequency
        self.sizes = tuple(sizes.values())
        self.lowercase = lowercase
        self.unicode = Form(lowercase, unicode).unicode

    def learn(
        self, pairs: Iterable[tuple[str, str]], names: tuple[str, str], longest: int
    ) -> tuple[WordVocabulary, WordVocabulary]:
        counts: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
        form = Form(self.lowercase, self.unicode)
        for pair in pairs:
            sides = [words(form.cased(form.tidied(text))) for text in pair]
            if all(0 < len(side) <= longest for side in sides):
                for count, side in zip(counts, sides, strict=True):
                    count.update(map(intern, side))
        if not counts[0]:
            raise UserError(
                f"no training pair is left of {' and '.join(names)}: none has 1 to task.longest={longest} words a side"
            )
        source, target = map(self._vocabulary, counts, names, self.sizes)
        return source, target

    def _vocabulary(self, counts: Counter[str], name: str, size: int | None) -> WordVocabulary:
        frequent = [word for word, count in counts.items() if count >= self.minimum_frequency]
        frequent.sort(key=lambda word: (-counts[word], word))
        most = None if size is None else size - len(SPECIALS)
        try:
            return WordVocabulary(frequent[:most], Form(self.lowercase, self.unicode))
        except UserError as error:
            raise UserError(f"{name}: {error}") from error
