"""BLEU and chrF as sacrebleu (Post 2018) computes them, over a whole set: never a mean over sentences."""

from __future__ import annotations

from collections.abc import Sequence

from sacrebleu.metrics import BLEU, CHRF


def _metrics(lowercase: bool, references: Sequence[str]) -> dict[str, BLEU | CHRF]:
    # Hypotheses are words joined by spaces and sacrebleu's own tokenizer splits both sides alike: `force` keeps it
    # from writing a warning about that to the terminal, and changes no figure.
    return {
        "bleu": BLEU(lowercase=lowercase, force=True, references=[list(references)]),
        "chrf": CHRF(lowercase=lowercase, references=[list(references)]),
    }


def measure(hypotheses: Sequence[str], references: Sequence[str], lowercase: bool) -> dict[str, float | None]:
    """Corpus BLEU (Papineni et al. 2002) and chrF (Popović 2015), 0 to 100, against one reference each.

    Words, not subwords. With `lowercase` both sides are lowercased first. An empty set has None, not 0.
    Raises ValueError when the counts differ.
    """
    if len(hypotheses) != len(references):
        raise ValueError(f"got {len(hypotheses)} hypotheses and {len(references)} references")
    if not references:
        return {"bleu": None, "chrf": None}
    return {
        name: metric.corpus_score(list(hypotheses), None).score
        for name, metric in _metrics(lowercase, references).items()
    }


def signatures(lowercase: bool) -> dict[str, str]:
    """sacrebleu's signature of each figure: case, tokenization, smoothing and version, to stand beside it."""
    return {name: metric.get_signature().format() for name, metric in _metrics(lowercase, [""]).items()}
