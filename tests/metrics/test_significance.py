"""Paired significance tests: sacrebleu's figures, and corrections where few sentences differ."""

import numpy as np
import pytest
from sacrebleu.metrics import BLEU, CHRF
from sacrebleu.significance import PairedTest

from softlookup.evaluation.metrics import significance
from softlookup.evaluation.metrics.bootstrap import bleu_band
from softlookup.evaluation.metrics.significance import paired

METRICS = {"bleu": BLEU(force=True), "chrf": CHRF(), "bleu_lowercased": BLEU(force=True, lowercase=True)}


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(significance, "TESTS", {"bootstrap": ("bs", 211), "randomization": ("ar", 307)})


def corpus(noise: float, seed: int, count: int = 59) -> list[str]:
    """Generate sentences of 7 words and replace a share `noise` of them; the originals are the same for every seed."""
    words = np.random.default_rng(1).integers(100, size=(count, 7))
    generator = np.random.default_rng(seed)
    other = generator.integers(100, 200, size=words.shape)
    changed = np.where(generator.random(words.shape) < noise, other, words)
    return [" ".join(f"W{word}" for word in row) for row in changed]


def test_figures_equal_those_of_sacrebleu_with_several_references() -> None:
    baseline, system, references = corpus(0.3, 2), corpus(0.2, 3), [corpus(0, 4), corpus(0.1, 5)]
    found = paired(baseline, system, references, METRICS)
    for name, metric in METRICS.items():
        for test, (kind, samples) in significance.TESTS.items():
            expected = PairedTest([("a", baseline), ("b", system)], {"m": metric}, references, kind, samples)()[1]
            first, second = next(rows for key, rows in expected.items() if key != "System")
            assert found[name][test] == {"p": second.p_value, "samples": samples, "seed": 12345}
            assert (found[name]["baseline"], found[name]["system"]) == (first.score, second.score)
        difference = found[name]["difference"]
        assert difference["value"] == second.score - first.score
        assert difference["low"] < difference["value"] < difference["high"]
        assert found[name]["system"] == metric.corpus_score(system, references).score
        assert 30 < found[name]["differing"] <= 59
    assert found["bleu"]["randomization"]["p"] < 0.1


def test_a_system_against_itself_has_p_value_one() -> None:
    """sacrebleu itself gives the smallest possible p-value here."""
    same = corpus(0.3, 2)
    (row,) = paired(same, same, [corpus(0, 4)], {"bleu": METRICS["bleu"]}).values()
    assert (row["differing"], row["bootstrap"]["p"], row["randomization"]["p"]) == (0, 1.0, 1.0)


@pytest.mark.parametrize(("differing", "least"), [(1, 1.0), (2, 0.5), (5, 0.0625)])
def test_few_differing_sentences_have_a_lower_bound_of_p(differing: int, least: float) -> None:
    """Of 2^d exchanges of d differing sentences, two give the observed absolute difference: p ≥ 2 / 2^d."""
    reference = corpus(0, 4)
    worse = ["x y z"] * differing + reference[differing:]
    (row,) = paired(worse, reference, [reference], {"bleu": METRICS["bleu"]}).values()
    assert row["differing"] == differing
    assert row["randomization"]["p"] >= least
    lowered = [line.lower() for line in reference]
    (row,) = paired(lowered, reference, [reference], {"bleu": METRICS["bleu_lowercased"]}).values()
    assert row["differing"] == 0


def test_figures_do_not_depend_on_environment_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """sacrebleu reads its seed from SACREBLEU_SEED."""
    hypotheses, reference = corpus(0.3, 2), corpus(0, 4)

    def figures() -> list[object]:
        both = paired(hypotheses, corpus(0.2, 3), [reference], {"bleu": METRICS["bleu"]})
        return [both, bleu_band(hypotheses, reference, False, tokenizer="13a")]

    monkeypatch.delenv("SACREBLEU_SEED", raising=False)
    before = figures()
    for seed in ("7", "none"):
        monkeypatch.setenv("SACREBLEU_SEED", seed)
        assert figures() == before


def test_unequal_numbers_of_lines_are_rejected() -> None:
    with pytest.raises(ValueError, match="lines"):
        paired(["a"], ["a"], [["a", "b"]], METRICS)


def test_the_deviation_of_a_difference_is_that_of_paired_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """chrF of one-word sentences that are right or wrong is nearly their share: with k of n sentences better in one
    system, the difference has the variance k/n · (1 − k/n) / n."""
    monkeypatch.setattr(significance, "TESTS", {"bootstrap": ("bs", 2003), "randomization": ("ar", 7)})
    reference = ["abcdef"] * 101
    baseline = ["uvwxyz"] * 31 + reference[31:]
    (row,) = paired(baseline, reference, [reference], {"chrf": METRICS["chrf"]}).values()
    share = 31 / 101
    assert row["difference"]["value"] == pytest.approx(100 * share)
    assert row["difference"]["deviation"] == pytest.approx(100 * (share * (1 - share) / 101) ** 0.5, rel=0.06)
