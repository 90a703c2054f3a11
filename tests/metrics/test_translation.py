"""BLEU by hand, and that sacrebleu is asked for what the docstring says."""

import math

import pytest

from softlookup.metrics.translation import measure, signatures


def test_bleu_by_hand():
    # 6 of 7 unigrams, 4 of 6 bigrams, 2 of 5 trigrams, 1 of 4 four-grams; equal lengths, no brevity penalty.
    found = measure(["the cat sat on a mat now"], ["the cat sat on the mat now"], lowercase=False)
    assert found["bleu"] == pytest.approx(100 * math.prod([6 / 7, 4 / 6, 2 / 5, 1 / 4]) ** 0.25)


def test_the_whole_set_is_scored_not_the_mean_of_its_sentences():
    hypotheses = ["a b c d e", "f g x y z v w"]
    references = ["a b c d e", "f g h i j k l"]
    single = [measure([h], [r], lowercase=False)["bleu"] for h, r in zip(hypotheses, references, strict=True)]
    whole = measure(hypotheses, references, lowercase=False)["bleu"]
    assert whole == pytest.approx(100 * math.prod([7 / 12, 5 / 10, 3 / 8, 2 / 6]) ** 0.25)
    assert abs(whole - sum(single) / 2) > 1


def test_case_counts_unless_lowercase():
    assert measure(["A B C D"], ["a b c d"], lowercase=True) == pytest.approx({"bleu": 100, "chrf": 100})
    assert measure(["A B C D"], ["a b c d"], lowercase=False)["chrf"] == 0


def test_nothing_is_written_about_tokenized_text(caplog, capsys):
    measure(["a b ."] * 101, ["a b ."] * 101, lowercase=False)
    assert not caplog.records
    assert capsys.readouterr() == ("", "")


def test_an_empty_set_is_absent_and_counts_must_match():
    assert measure([], [], lowercase=True) == {"bleu": None, "chrf": None}
    with pytest.raises(ValueError, match="1 hypotheses and 2 references"):
        measure(["a"], ["a", "b"], lowercase=True)


def test_signatures_name_what_was_done():
    lower, mixed = signatures(lowercase=True), signatures(lowercase=False)
    assert lower["bleu"].startswith("nrefs:1|case:lc|eff:no|tok:13a|smooth:exp|version:2.")
    assert "case:mixed" in mixed["bleu"]
    assert lower["chrf"].startswith("nrefs:1|case:lc|eff:yes|nc:6|nw:0")
