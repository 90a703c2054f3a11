"""Translation task: parallel text from a folder or from the Hugging Face hub."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import numpy as np

from softlookup.contract import Example, Examples, Segmentation, Task
from softlookup.errors import UserError
from softlookup.ranges import Range
from softlookup.task import reading
from softlookup.task.corpus import dropped, prepared
from softlookup.task.judged import exam_set, joins, judged, overlong
from softlookup.task.passes import Passes
from softlookup.task.split import Split
from softlookup.text.languages import splitting, unit
from softlookup.text.tokenizer_13a import forget
from softlookup.text.vocabulary import UNK


class Parallel(Task):
    """Translation of sentence pairs, `source` to `target` (language codes).

    Pairs are read from the folder `path` (files and `columns`: see `task.folder.read_folder`), or if it is None from
    `dataset` on the Hugging Face hub (`task.hub.read_hub`; None: Multi30k). `train`, `validation` and `test` override
    the names of the splits, without the file extension. `segmentation` defines the tokens and learns both vocabularies
    from the training text. Encoded training text is cached by its content and memory-mapped (`task.corpus`), so it need
    not fit into memory.

    A training pair with a side of no tokens or of more than `longest` is dropped and counted in `notes`. Validation and
    test sets are complete: a long sentence is kept, and a side without words is an error. Their pairs that occur in
    training too, compared without case and blanks, are kept, since published figures use the same sets, and counted.

    With `concatenate` = k, joins of 2 to k consecutive pairs are added, without overlap, with a blank in between: in
    training and validation those of at most `longest` tokens, in the test set all of them, so that a model is tested on
    longer real text than it was trained on.

    References are the original translations, normalized by the segmentation's `unicode` and stripped. `buckets` are
    ranges of source words (sacrebleu's 13a), or of characters where the source language has no blanks between words,
    for every segmentation, so that figures by length are comparable; `lengths` are in tokens of the segmentation.
    `tokenizer` is sacrebleu's for BLEU, None for the default of the target language (`languages.splitting`). Gold and
    silver links are read from the Pharaoh files `alignment` and `silver` (None: there are none).

    Raises UserError for data that cannot be read and for settings that leave no training pair.
    """

    def __init__(
        self,
        path: str | None,
        dataset: str | None,
        columns: str | None,
        source: str,
        target: str,
        segmentation: Segmentation,
        longest: int,
        concatenate: Annotated[int, Range(1, 100)],
        alignment: str | None,
        silver: str | None,
        train: str | None = None,
        validation: str | None = None,
        test: str | None = None,
        tokenizer: str | None = None,
    ) -> None:
        if source == target:
            raise UserError(f"task.source and task.target are both {source}; give two languages")
        if longest < 1 or concatenate < 1:
            raise UserError(f"task.longest={longest} task.concatenate={concatenate}: both are 1 or more")
        self.splitting = splitting(target, tokenizer)
        self.length_unit = unit(source)
        given: dict[str, Any] = {"path": path, "dataset": dataset, "columns": columns, "source": source}
        given |= {"target": target, "train": train, "validation": validation, "test": test}
        given |= {"alignment": alignment, "silver": silver, "tokenizer": tokenizer}
        splits = reading.read(given)
        self.data = reading.digests(splits, given)
        self._longest = longest
        self._corpus = prepared(splits, segmentation, longest, concatenate)
        self.source_vocabulary, self.target_vocabulary = self._corpus.vocabularies
        self.lengths = (min(self._corpus.lengths), max(self._corpus.lengths))
        vocabularies = self._corpus.vocabularies
        self._validation = judged(splits["validation"], vocabularies)
        more = [e for e in joins(splits["validation"], vocabularies, concatenate) if _fits(e, longest)]
        self._test, self.buckets = exam_set(splits["test"], vocabularies, concatenate, (alignment, silver))
        forget()
        self._notes = self._report(splits, longest, concatenate, [len(more), len(self._test) - len(splits["test"])])
        self._validation += more

    @classmethod
    def digests(cls, arguments: Mapping[str, Any]) -> dict[str, str]:
        """Return the SHA-256 of the sentence pairs of each split, and of each file of links."""
        return reading.digested(arguments)

    def training(self, generator: np.random.Generator, limit: Callable[[], int]) -> Examples:
        """Return endless passes over the training pairs, each in a new order; examples have no references.

        A pass has every pair whose source has at most `limit()` tokens exactly once. The limit is evaluated at each
        pair's turn: if it grows during a pass, a pair that was too long at its turn is skipped until the next pass.
        Raises UserError where no pair is short enough at the start of a pass.
        """
        return Passes(self._corpus.examples, self.lengths[0], generator, limit)

    @property
    def trained(self) -> int:
        """Return the length of the longest training source in `length_unit`."""
        return self._corpus.longest

    def may_show(self, example: Example) -> bool:
        """Return whether neither side is longer than `longest`."""
        return max(len(example.source), len(example.target)) <= self._longest

    def quantile(self, share: float) -> int:
        """Return the smallest source length that at least `share` of the training sentences do not exceed."""
        lengths, counts = zip(*sorted(self._corpus.lengths.items()), strict=True)
        return int(np.quantile(lengths, share, weights=counts, method="inverted_cdf"))

    def validation(self) -> list[Example]:
        """Return all validation pairs, and the joins of at most `longest` tokens."""
        return list(self._validation)

    def test(self) -> list[Example]:
        """Return all test pairs, and all joins."""
        return list(self._test)

    def notes(self) -> list[str]:
        """Report pairs, joins and dropped pairs, the overlap of validation and test with training, vocabulary sizes and
        unknown words."""
        return list(self._notes)

    def _report(self, splits: dict[str, Split], longest: int, concatenate: int, counts: list[int]) -> list[str]:
        corpus = self._corpus
        source, target = splits["train"].names
        notes = [
            f"train: {len(corpus.examples) - corpus.joins} pairs {source} → {target}; "
            f"{dropped(*corpus.dropped, longest)}",
            *(
                f"{name}: {len(splits[name])} pairs; {whole} of them and {sources} of their sources are in training too"
                for name, (whole, sources) in corpus.overlap.items()
            ),
            f"vocabulary: {source} {len(self.source_vocabulary)}, {target} {len(self.target_vocabulary)}; unknown "
            f"words of test: {source} {_unknown(self._test, 0):.1%}, "
            f"{target} {_unknown(self._test, 1):.1%}",
        ]
        judged_sets = {"validation": self._validation, "test": self._test[: len(splits["test"])]}
        notes += _mostly_unknown(corpus.unknown, judged_sets, (source, target))
        notes += [self.splitting.note] if self.splitting.note else []
        for name, examples in judged_sets.items():
            notes += overlong(splits[name], examples, self.lengths[1])
        if concatenate > 1:
            notes.append(
                f"joins of 2 to {concatenate} consecutive pairs besides: train {corpus.joins}, validation {counts[0]} "
                f"(those of at most task.longest={longest} tokens), test {counts[1]} (all)"
            )
        return notes


def _fits(example: Example, longest: int) -> bool:
    return max(len(example.source), len(example.target)) <= longest


def _unknown(examples: Sequence[Example], side: int) -> float:
    """Return the share of unknown tokens in all sources (side 0) or targets (side 1)."""
    ids = [index for example in examples for index in (example.target if side else example.source)]
    return ids.count(UNK) / len(ids)


def _mostly_unknown(
    training: tuple[float, float], judged_sets: Mapping[str, Sequence[Example]], languages: tuple[str, str]
) -> list[str]:
    """Report each language of which most tokens are unknown, with the splits and what to type."""
    notes = []
    for side, language in enumerate(languages):
        shares = {"train": training[side], **{name: _unknown(some, side) for name, some in judged_sets.items()}}
        most = [f"{share:.0%} of {name}" for name, share in shares.items() if share > 0.5]
        if most:
            notes.append(
                f"most words of {language} are unknown ({', '.join(most)}): the model cannot read or write them; "
                "segmentation=unigram has no unknown words; a lower segmentation.minimum_frequency or a larger "
                "sizes.words leaves fewer"
            )
    return notes
