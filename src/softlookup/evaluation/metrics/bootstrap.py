"""Estimate confidence intervals of corpus metrics by bootstrap resampling of sentences."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

import numpy as np
from sacrebleu.metrics import BLEU
from sacrebleu.metrics.base import Metric
from sacrebleu.significance import _bootstrap_resample

from softlookup.system.environment import variable

RESAMPLES = 1_000
SHARE = 0.95
SEED = 12345


def seeded() -> AbstractContextManager[None]:
    """Make sacrebleu use `SEED`, its default, regardless of the environment, so that figures are reproducible."""
    return variable("SACREBLEU_SEED", str(SEED))


def bleu_band(
    hypotheses: Sequence[str],
    references: Sequence[str],
    lowercase: bool,
    name: str = "bleu",
    further: Sequence[Sequence[str]] = (),
    *,
    tokenizer: str,
) -> dict[str, float | None]:
    """Return NAME_low and NAME_high: the bounds of corpus BLEU over the central 95 % of 1,000 resamples of the
    sentences (Koehn 2004).

    The percentile interval of sacrebleu's resamples from its fixed seed; unlike sacrebleu's half-width it need not be
    symmetric. It covers the variation over sentences, not over training seeds. Both are None for fewer than two
    sentences. `further` are additional references; `tokenizer` is sacrebleu's. Raises ValueError when the counts
    differ.
    """
    if len(hypotheses) != len(references):
        raise ValueError(f"got {len(hypotheses)} hypotheses and {len(references)} references")
    metric = BLEU(
        lowercase=lowercase, tokenize=tokenizer, force=True, references=[list(references), *map(list, further)]
    )
    low, high = band(metric, metric._extract_corpus_statistics(list(hypotheses), None) if references else [])
    return {f"{name}_low": low, f"{name}_high": high}


def band(metric: Metric, statistics: list[list[int | float]]) -> tuple[float | None, float | None]:
    """Return the bounds of `bleu_band` from the counts that `metric` has made of each sentence."""
    if len(statistics) < 2:
        return None, None
    with seeded():
        scores = [one.score for one in _bootstrap_resample(statistics, metric, RESAMPLES)[1]]
    low, high = np.quantile(scores, [(1 - SHARE) / 2, (1 + SHARE) / 2])
    return float(low), float(high)
