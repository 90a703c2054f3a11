"""Compute corpus BLEU and chrF with sacrebleu (Post 2018)."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from importlib.metadata import version

from sacrebleu.metrics import BLEU, CHRF

from softlookup.text.languages import Splitting

MOSES = "bleu4_tokenized_lowercased"
FIGURES = ("bleu", "chrf", "bleu_lowercased", "chrf_lowercased", MOSES)


def metrics(split: Splitting) -> dict[str, BLEU | CHRF]:
    """Make sacrebleu's metrics, by the name of each figure that text of this splitting has."""
    # Words joined by blanks look tokenized to sacrebleu: `force` keeps it from writing a warning about that to the
    # terminal, and changes no figure.
    made: dict[str, BLEU | CHRF] = {
        "bleu": BLEU(tokenize=split.tokenizer, force=True),
        "chrf": CHRF(),
        "bleu_lowercased": BLEU(lowercase=True, tokenize=split.tokenizer, force=True),
        "chrf_lowercased": CHRF(lowercase=True),
    }
    if split.moses is not None:
        made[MOSES] = BLEU(lowercase=True, tokenize="none", smooth_method="none", force=True)
    return made


def metrics_of_lines(split: Splitting) -> dict[str, BLEU | CHRF]:
    """Return the metrics of `measure` that take lines as they are; the Moses figure takes tokens."""
    return {name: metric for name, metric in metrics(split).items() if name != MOSES}


def measure(
    hypotheses: Sequence[str], references: Sequence[str], split: Splitting, further: Sequence[Sequence[str]] = ()
) -> dict[str, float | None]:
    """Corpus BLEU (Papineni et al. 2002) and chrF (Popović 2015), 0 to 100.

    `references` has one for each hypothesis; `further` has as many more for all of them.

    `bleu` and `chrf` are those of the text as it stands; of a model that writes lowercased text they count every
    capital as an error. `bleu_lowercased` and `chrf_lowercased` lowercase both sides first. All BLEU is of words as
    `split` makes them of the target's language: a tokenizer for another one makes a sentence without blanks one word.
    Compare with older tables by `bleu4_tokenized_lowercased` alone: both sides lowercased, split by the Moses
    tokenizer, no smoothing (multi-bleu.perl's figure); None for a language that Moses cannot split.

    Text of word vocabularies has blanks between its words and is scored as it is: 13a splits both sides into the same
    words, and chrF drops blanks. The references of Multi30k's test_2016_flickr, written that way, score 100 in each
    lowercased figure but the last, where a dash or a full stop within a word takes 0.06 of them (English). To put them
    together again would add the errors of a detokenizer.

    An empty set has None, not 0. Raises ValueError when the counts differ.
    """
    if {len(references), *map(len, further)} != {len(hypotheses)}:
        counts = " and ".join(str(len(each)) for each in (references, *further))
        raise ValueError(f"got {len(hypotheses)} hypotheses and {counts} references")
    if not references:
        return dict.fromkeys(FIGURES)
    sides = [list(hypotheses), list(references), *map(list, further)]
    scores: dict[str, float | None] = dict.fromkeys(FIGURES)
    for name, metric in metrics(split).items():
        given = [[_moses(split.moses)(line.lower()) for line in side] for side in sides] if name == MOSES else sides
        scores[name] = metric.corpus_score(given[0], given[1:]).score
    return scores


def signatures(split: Splitting, references: int = 1) -> dict[str, str]:
    """sacrebleu's signature of each figure: references, case, tokenization, smoothing, version, to stand beside it."""
    told = {}
    for name, metric in metrics(split).items():
        metric.corpus_score([""], [[""]] * references)  # a signature counts the references
        told[name] = metric.get_signature().format()
    if MOSES in told:
        told[MOSES] += f"|moses:{split.moses}|sacremoses:{version('sacremoses')}"
    return told


@cache
def _moses(language: str | None) -> Callable[[str], str]:
    """Return a line to its tokens with blanks between them; a language that Moses does not know is split as English
    is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sacremoses import MosesTokenizer

    tokenizer = MosesTokenizer(language)

    @lru_cache(maxsize=20_000)  # references come again by source length
    def split(line: str) -> str:
        return tokenizer.tokenize(line, return_str=True, escape=False)

    return split
