"""Test whether two systems differ on a test set, with sacrebleu's paired tests over sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sacrebleu.metrics.base import Metric
from sacrebleu.significance import PairedTest, Result, _bootstrap_resample

from softlookup.evaluation.metrics.bootstrap import SEED, SHARE, seeded

TESTS = {"bootstrap": ("bs", 1_000), "randomization": ("ar", 10_000)}


def paired(
    baseline: Sequence[str], system: Sequence[str], references: Sequence[Sequence[str]], metrics: Mapping[str, Metric]
) -> dict[str, dict[str, Any]]:
    """Compare the outputs of two systems for one test set by each metric.

    `references` are streams, each with a line for every hypothesis. A row has both scores, and the p-values of paired
    bootstrap resampling (Koehn 2004; 1,000 resamples) and of paired approximate randomization (Riezler and Maxwell
    2005; 10,000 trials), both two-sided and with a fixed seed. `difference` is system − baseline, with the central 95 %
    and the standard deviation over the same resamples of both. All of them account for the choice of sentences, not
    for training seeds.

    `differing` is the number of sentences whose statistics differ. With d of them there are 2^d ways to exchange
    outputs, two of which have the observed difference: randomization cannot give a p below 2^(1 − d). sacrebleu counts
    only greater differences and would give 0.0001 for one differing sentence, and for two equal systems by either test;
    here p is raised to that bound, and is 1 where nothing differs. Raises ValueError when the numbers of lines differ.
    """
    if len({len(baseline), len(system), *map(len, references)}) != 1:
        raise ValueError(f"got {len(baseline)}, {len(system)} and {[*map(len, references)]} lines")
    rows = {}
    for name, metric in metrics.items():
        sides = [metric._extract_corpus_statistics(list(side), references) for side in (baseline, system)]
        differing = sum(list(one) != list(other) for one, other in zip(*sides, strict=True))
        bounds = {"bootstrap": 0.0 if differing else 1.0, "randomization": min(1.0, 2.0 ** (1 - differing))}
        row: dict[str, Any] = {"differing": differing}
        for test, (kind, samples) in TESTS.items():
            first, second = _results(baseline, system, references, metric, kind, samples)
            row |= {"baseline": first.score, "system": second.score}
            assert second.p_value is not None
            row[test] = {"p": max(second.p_value, bounds[test]), "samples": samples, "seed": SEED}
        row["difference"] = _difference(sides, metric, row["system"] - row["baseline"])
        rows[name] = row
    return rows


def _difference(sides: Sequence[list[Any]], metric: Metric, value: float) -> dict[str, float]:
    """Return a difference with its bounds and its standard deviation over resamples of the sentences."""
    with seeded():  # the same seed and number of sentences: both sides are resampled alike
        baseline, system = (
            [one.score for one in _bootstrap_resample(side, metric, TESTS["bootstrap"][1])[1]] for side in sides
        )
    differences = np.subtract(system, baseline)
    low, high = np.quantile(differences, [(1 - SHARE) / 2, (1 + SHARE) / 2])
    return {"value": value, "low": float(low), "high": float(high), "deviation": float(differences.std(ddof=1))}


def _results(
    baseline: Sequence[str], system: Sequence[str], references: Sequence[Sequence[str]], metric: Metric, kind: str,
    samples: int,
) -> list[Result]:  # fmt: skip
    # One test per metric: PairedTest identifies metrics by name, and cased and lowercased BLEU share one.
    with seeded():
        test = PairedTest([("baseline", baseline), ("system", system)], {"metric": metric}, references, kind, samples)
        _, scores = test()
    (found,) = (results for name, results in scores.items() if name != "System")
    return [result for result in found if isinstance(result, Result)]
