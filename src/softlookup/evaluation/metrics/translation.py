"""Compute corpus BLEU and chrF with sacrebleu (Post 2018)."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from importlib.metadata import version
from typing import Any

from sacrebleu.metrics import BLEU, CHRF

from softlookup.errors import needed_by
from softlookup.evaluation.metrics import bootstrap
from softlookup.text.languages import Splitting

MOSES = "bleu4_tokenized_lowercased"
FIGURES = ("bleu", "chrf", "bleu_lowercased", "chrf_lowercased", MOSES)


def metrics(split: Splitting) -> dict[str, BLEU | CHRF]:
    """Make sacrebleu's metrics for text with this splitting, by the name of each figure."""
    # Words joined by blanks look tokenized to sacrebleu: `force` suppresses its warning and changes no figure.
    found: dict[str, BLEU | CHRF] = {
        "bleu": BLEU(tokenize=split.tokenizer, force=True),
        "chrf": CHRF(),
        "bleu_lowercased": BLEU(lowercase=True, tokenize=split.tokenizer, force=True),
        "chrf_lowercased": CHRF(lowercase=True),
    }
    if split.moses is not None:
        found[MOSES] = BLEU(lowercase=True, tokenize="none", smooth_method="none", force=True)
    return found


def metrics_of_lines(split: Splitting) -> dict[str, BLEU | CHRF]:
    """Return the metrics of `measure` that take untokenized lines; the Moses figure takes tokens."""
    return {name: metric for name, metric in metrics(split).items() if name != MOSES}


def measure(
    hypotheses: Sequence[str], references: Sequence[str], split: Splitting, further: Sequence[Sequence[str]] = ()
) -> dict[str, float | None]:
    """Compute the figures of `Corpus` for all sentences."""
    return Corpus(hypotheses, references, split, further).measure(range(len(references)))


class Corpus:
    """Corpus BLEU (Papineni et al. 2002) and chrF (Popović 2015), 0 to 100, of any subset of these sentences.

    Both follow from counts of each sentence, which are made once. `references` has one line for each hypothesis; each
    stream in `further` has one more.

    `bleu` and `chrf` are cased: for a model that writes lowercased text every capital is an error. `bleu_lowercased`
    and `chrf_lowercased` lowercase both sides first. BLEU uses the tokenizer of `split`, that of the target language:
    another one might treat a sentence without blanks as one word. Use only `bleu4_tokenized_lowercased` to compare with
    older tables: both sides lowercased, split by the Moses tokenizer, no smoothing (as multi-bleu.perl); None for a
    language that Moses cannot split.

    Output of word vocabularies has blanks between words and is scored without detokenization, which would add errors:
    13a splits both sides into the same words, and chrF ignores blanks. The references of Multi30k's test_2016_flickr in
    this form score 100 in each lowercased figure except the last, which loses 0.06 to dashes and full stops within
    words (English).

    All figures of an empty set are None, not 0. Raises ValueError when the counts differ.
    """

    def __init__(
        self,
        hypotheses: Sequence[str],
        references: Sequence[str],
        split: Splitting,
        further: Sequence[Sequence[str]] = (),
    ) -> None:
        if {len(references), *map(len, further)} != {len(hypotheses)}:
            counts = " and ".join(str(len(each)) for each in (references, *further))
            raise ValueError(f"got {len(hypotheses)} hypotheses and {counts} references")
        self._counted: dict[str, tuple[BLEU | CHRF, list[list[Any]]]] = {}
        sides = [list(hypotheses), list(references), *map(list, further)]
        self._lowercase = all(line == line.lower() for side in sides for line in side)
        for name, metric in metrics(split).items() if references else ():
            cased = name.removesuffix("_lowercased")
            if self._lowercase and cased in self._counted:
                self._counted[name] = metric, self._counted[cased][1]
                continue
            given = [[_moses(split.moses)(line.lower()) for line in side] for side in sides] if name == MOSES else sides
            self._counted[name] = metric, metric._extract_corpus_statistics(given[0], given[1:])

    def measure(self, members: Sequence[int]) -> dict[str, float | None]:
        """Return the figures of these sentences."""
        scores: dict[str, float | None] = dict.fromkeys(FIGURES)
        for name, (metric, counts) in self._counted.items() if len(members) else ():
            scores[name] = metric._aggregate_and_compute([counts[member] for member in members]).score
        return scores

    def bands(self, members: Sequence[int]) -> dict[str, float | None]:
        """Return the confidence bounds of BLEU, cased and lowercased, of these sentences (`bootstrap.bleu_band`)."""
        low, high = self._band("bleu", members)
        found = {"bleu_low": low, "bleu_high": high}
        if not self._lowercase:
            low, high = self._band("bleu_lowercased", members)
        return {**found, "bleu_lowercased_low": low, "bleu_lowercased_high": high}

    def _band(self, name: str, members: Sequence[int]) -> tuple[float | None, float | None]:
        if not self._counted:
            return None, None
        metric, counts = self._counted[name]
        return bootstrap.band(metric, [counts[member] for member in members])


def signatures(split: Splitting, references: int = 1) -> dict[str, str]:
    """Return sacrebleu's signature of each figure: references, case, tokenization, smoothing, version."""
    found = {}
    for name, metric in metrics(split).items():
        metric.corpus_score([""], [[""]] * references)  # scoring sets the signature's number of references
        found[name] = metric.get_signature().format()
    if MOSES in found:
        found[MOSES] += f"|moses:{split.moses}|sacremoses:{version('sacremoses')}"
    return found


@cache
def _moses(language: str | None) -> Callable[[str], str]:
    """Return the Moses tokenizer as a function of a line; it splits languages that it does not know as English."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with needed_by(MOSES):
            from sacremoses import MosesTokenizer

    tokenizer = MosesTokenizer(language)

    @lru_cache(maxsize=20_000)  # references are tokenized again for each length bucket
    def split(line: str) -> str:
        return tokenizer.tokenize(line, return_str=True, escape=False)

    return split
