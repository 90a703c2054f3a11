"""Make the examples of validation and test sets of text; no pair is dropped or cut."""

from collections.abc import Sequence
from dataclasses import replace

from softlookup.contract import Example
from softlookup.errors import UserError
from softlookup.task.corpus import joined, tidied
from softlookup.task.gold import linked
from softlookup.task.split import Pair, Split
from softlookup.text.languages import CHARACTERS, WORDS, length, unit
from softlookup.text.vocabulary import Vocabulary

FEWEST = 20  # test sentences in a bucket
# Upper bounds of length buckets of single sentences, in words and in characters (a Chinese word has about two).
SINGLE = {WORDS: (10, 15, 20, 30), CHARACTERS: (20, 30, 40, 60)}
FAR = 3  # lines longer than this multiple of the longest in training are reported: they may not be sentences
REPORTED = 3  # lines that are reported individually
Vocabularies = tuple[Vocabulary, Vocabulary]


def exam_set(
    split: Split,
    vocabularies: Vocabularies,
    concatenate: int,
    links: tuple[str | None, str | None],
    further: Sequence[Sequence[str]] = (),
) -> tuple[list[Example], tuple[tuple[int, int], ...]]:
    """Make the examples of a test set, pairs first and then joins of consecutive pairs, and its length buckets.

    `links` are the files of gold and silver alignments (`task.gold`). `further` are additional references, each with a
    line for every pair; they need `concatenate` = 1. Raises UserError as `judged` and `linked` do.
    """
    counted = unit(next(iter(split.names)))
    examples = linked(judged(split, vocabularies), list(split), vocabularies, links)
    if further:
        rows = [[vocabularies[1].tidied(line) for line in lines] for lines in further]
        examples = [replace(e, further=more) for e, more in zip(examples, zip(*rows, strict=True), strict=True)]
    examples += joins(split, vocabularies, concatenate)
    return examples, buckets([example.length for example in examples], SINGLE[counted] if concatenate == 1 else None)


def judged(split: Split, vocabularies: Vocabularies) -> list[Example]:
    """Make the examples of a validation or test set. Raises UserError where a side has no words."""
    examples, counted = [], unit(next(iter(split.names)))
    for number, pair in enumerate(tidied(split, vocabularies), split.first):
        example = _example(pair, vocabularies, counted)
        for tokens, name in zip((example.source, example.target), split.names.values(), strict=True):
            if not tokens:
                raise UserError(f"{name}, line {number} has no words; remove this line from both languages")
        examples.append(example)
    return examples


def overlong(split: Split, examples: Sequence[Example], longest: int) -> list[str]:
    """Report the lines of a split that are far longer than `longest` tokens, the longest source of training.

    They are evaluated nevertheless, with time and memory that grow with the square of their length.
    """
    found = []
    for number, example in enumerate(examples, split.first):
        for tokens, name in zip((example.source, example.target), split.names.values(), strict=True):
            if len(tokens) > FAR * longest:
                found.append(
                    f"{name}, line {number} has {len(tokens):,} tokens, and the longest source of training {longest}: "
                    "it is evaluated as it is; remove the line from both languages if it is not a sentence"
                )
    more = [f"and {len(found) - REPORTED} more sides as long"] if len(found) > REPORTED else []
    return found[:REPORTED] + more


def joins(split: Split, vocabularies: Vocabularies, concatenate: int) -> list[Example]:
    """Make the examples of 2 to `concatenate` consecutive pairs, without overlap."""
    counts, counted = range(2, concatenate + 1), unit(next(iter(split.names)))
    rows = (pair for count in counts for pair in joined(tidied(split, vocabularies), count))
    return [_example(pair, vocabularies, counted) for pair in rows]


def _example(pair: Pair, vocabularies: Vocabularies, counted: str) -> Example:
    source, target = (vocabulary.read(text) for vocabulary, text in zip(vocabularies, pair, strict=True))
    return Example(source, target, reference=pair[1], units=length(pair[0], counted))


def buckets(lengths: Sequence[int], highs: tuple[int, ...] | None) -> tuple[tuple[int, int], ...]:
    """Divide lengths into adjoining ranges from 1 to the greatest, each with at least `FEWEST` examples if possible.

    Ranges end at `highs`, or at multiples of ten. A range with fewer examples is merged with its neighbour: BLEU of one
    or two sentences would be misleading.
    """
    ranges: list[tuple[int, int]] = []
    low = 1
    for high in (*(highs or range(10, max(lengths), 10)), max(lengths)):
        if sum(low <= length <= high for length in lengths) >= FEWEST:
            ranges.append((low, high))
            low = high + 1
    first = ranges.pop()[0] if ranges else 1
    return (*ranges, (first, max(lengths)))
