"""BLEU by hand, the options passed to sacrebleu, and equality with its command line."""

import gzip
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import sacrebleu
from sacremoses import MosesTokenizer

from softlookup.evaluation.metrics.bootstrap import bleu_band
from softlookup.evaluation.metrics.translation import MOSES, Corpus, measure, metrics_of_lines, signatures
from softlookup.text.languages import splitting
from softlookup.text.tokenizer_13a import words

ENGLISH = splitting("en")
MULTI30K = os.environ.get("MULTI30K_DIR")
FIGURES = ["bleu", "chrf", "bleu_lowercased", "chrf_lowercased", MOSES]
HYPOTHESES = [
    "A man in a Blue T-shirt, aged 3-5, sleeps.",
    "the dog's ball isn't here …",
    'Two men say: "no" &amp; leave at 10.30 p.m.',
    "A woman ⁇ in the street .",
    "",
    "he said 1,000 times that  it is so",
]
REFERENCES = [
    "A man in a blue T-Shirt, aged 3-5, is asleep.",
    "The dog's ball isn't here…",
    'Two men say: "No" & leave at 10.30 p.m.',
    "A woman walks in the street.",
    "Nothing.",
    "He said 1,000 times that it is so.",
]


def test_bleu_by_hand():
    # 6 of 7 unigrams, 4 of 6 bigrams, 2 of 5 trigrams, 1 of 4 four-grams; equal lengths, no brevity penalty.
    found = measure(["the cat sat on a mat now"], ["the cat sat on the mat now"], ENGLISH)
    for name in ("bleu", "bleu_lowercased", MOSES):
        assert found[name] == pytest.approx(100 * math.prod([6 / 7, 4 / 6, 2 / 5, 1 / 4]) ** 0.25)


def test_the_whole_set_is_scored_not_the_mean_of_its_sentences():
    hypotheses = ["a b c d e", "f g x y z v w"]
    references = ["a b c d e", "f g h i j k l"]
    single = [measure([h], [r], ENGLISH)["bleu"] for h, r in zip(hypotheses, references, strict=True)]
    whole = measure(hypotheses, references, ENGLISH)["bleu"]
    assert whole == pytest.approx(100 * math.prod([7 / 12, 5 / 10, 3 / 8, 2 / 6]) ** 0.25)
    assert abs(whole - sum(single) / 2) > 1


def test_case_counts_unless_the_name_says_lowercased():
    found = measure(["A B C D"], ["a b c d"], ENGLISH)
    assert list(found) == FIGURES
    assert [found[name] for name in FIGURES[2:]] == pytest.approx([100, 100, 100])
    assert found["chrf"] == 0
    assert found["bleu"] < 1


def test_only_the_tokenized_bleu_is_unsmoothed():
    found = measure(["a b x d y"], ["a b c d e"], ENGLISH)
    assert found["bleu_lowercased"] > 0
    assert found[MOSES] == 0


def test_moses_tokenizes_by_language():
    # French tokens l' homme: 4 of 4 words match; English l 'homme: 3 of 4. The hypothesis is one word short.
    french, english = (
        measure(["homme est là oui"], ["l'homme est là oui"], splitting(code))[MOSES] for code in ("fr", "en")
    )
    assert french == pytest.approx(100 * math.exp(1 - 5 / 4))
    assert english == 0


def test_text_without_spaces_is_tokenized_by_language():
    """Thai text is split into characters; 13a would see one wrong word."""
    hypothesis, reference = ["男犬家中大走る"], ["男犬家中小走る"]
    thai = splitting("th")
    found = measure(hypothesis * 3, reference * 3, thai)
    expected = sacrebleu.corpus_bleu(hypothesis * 3, [reference * 3], tokenize="char").score
    assert found["bleu"] == found["bleu_lowercased"] == pytest.approx(expected)
    # 6 of 7 characters match, and the n-grams that do not contain the wrong one.
    assert expected == pytest.approx(100 * math.prod([6 / 7, 4 / 6, 2 / 5, 1 / 4]) ** 0.25)
    assert measure(hypothesis * 3, reference * 3, ENGLISH)["bleu"] == 0
    assert found[MOSES] is None
    signed = signatures(thai)
    assert MOSES not in signed
    assert "tok:char" in signed["bleu"]
    assert "tok:char" in signed["bleu_lowercased"]
    assert "tok:13a" in signatures(ENGLISH)["bleu"]
    assert list(measure([], [], thai)) == FIGURES


def test_the_band_uses_the_same_tokenization_as_the_score():
    lines = ["男犬家中大走る", "女猫公園赤い見", "この大きい家一", "男が公園で走る"]
    wrong = [lines[0], *(line[:3] + "x" + line[4:] for line in lines[1:])]
    score = measure(wrong, lines, splitting("zh"))["bleu"]
    band = bleu_band(wrong, lines, lowercase=False, tokenizer="zh")
    assert 0 < band["bleu_low"] < score < band["bleu_high"]


def test_tokenized_text_causes_no_warning(caplog, capsys):
    measure(["a b ."] * 101, ["a b ."] * 101, ENGLISH)
    assert not caplog.records
    assert capsys.readouterr() == ("", "")


def test_an_empty_set_has_no_scores_and_counts_must_match():
    assert measure([], [], ENGLISH) == dict.fromkeys(FIGURES)
    for hypotheses, references in ((["a"], ["a", "b"]), ([], ["a"]), (["a"], [])):
        with pytest.raises(ValueError, match=f"{len(hypotheses)} hypotheses and {len(references)} references"):
            measure(hypotheses, references, ENGLISH)


def command_line(folder: Path, hypotheses: list[str], references: list[str], *options: str) -> list[dict]:
    """Run the sacrebleu command on two files; return score and signature of each requested metric."""
    (folder / "hypotheses").write_text("".join(f"{line}\n" for line in hypotheses))
    (folder / "references").write_text("".join(f"{line}\n" for line in references))
    command = [sys.executable, "-m", "sacrebleu", "references", "-i", "hypotheses", "-w", "9", *options]
    results = json.loads(subprocess.run(command, cwd=folder, capture_output=True, check=True, text=True).stdout)
    return results if isinstance(results, list) else [results]


def test_scores_and_signatures_equal_those_of_the_sacrebleu_command(tmp_path: Path):
    found, signed = measure(HYPOTHESES, REFERENCES, ENGLISH), signatures(ENGLISH)
    moses = MosesTokenizer("en")
    tokenized = [
        [moses.tokenize(line.lower(), return_str=True, escape=False) for line in side]
        for side in (HYPOTHESES, REFERENCES)
    ]
    plain = command_line(tmp_path, HYPOTHESES, REFERENCES, "-m", "bleu", "chrf")
    lower = command_line(tmp_path, HYPOTHESES, REFERENCES, "-m", "bleu", "chrf", "-lc", "--chrf-lowercase")
    older = command_line(tmp_path, *tokenized, "-m", "bleu", "-lc", "-tok", "none", "-s", "none", "--force")
    for name, results in zip(FIGURES, [*plain, *lower, *older], strict=True):
        assert found[name] == pytest.approx(results["score"], abs=1e-8)
        assert signed[name].removesuffix("|moses:en|sacremoses:0.2.0") == results["signature"]


@pytest.mark.skipif(not MULTI30K, reason="MULTI30K_DIR does not point at a folder of Multi30k")
@pytest.mark.parametrize("language", ["de", "en"])
def test_words_joined_by_spaces_score_the_same_as_the_original_text(language: str):
    path = Path(str(MULTI30K)) / f"test_2016_flickr.{language}.gz"
    references = gzip.decompress(path.read_bytes()).decode().splitlines()
    found = measure([" ".join(words(line.lower())) for line in references], references, splitting(language))
    assert found["bleu_lowercased"] == pytest.approx(100)
    assert found["chrf_lowercased"] == pytest.approx(100)
    assert 99.9 < found[MOSES] < 100


@pytest.mark.parametrize("case", [str, str.lower], ids=["cased", "lowercase"])
def test_a_subset_of_a_corpus_has_the_figures_of_its_sentences_measured_alone(case: Callable[[str], str]) -> None:
    references = [case(line) for line in ("A Dog runs.", "Two men, one cat", "The cat is out of the bag", "Yes")]
    hypotheses = [case(line) for line in ("A dog runs .", "two Men one cat", "The cat sat out of the bag", "No")]
    further = [references[::-1]]
    corpus = Corpus(hypotheses, references, ENGLISH, further)
    for members in ([2], [0, 1, 3], range(4)):
        alone, *streams = ([side[place] for place in members] for side in (hypotheses, references, *further))
        oracle = {name: one.corpus_score(alone, streams).score for name, one in metrics_of_lines(ENGLISH).items()}
        assert {name: corpus.measure(members)[name] for name in oracle} == oracle
        first, *more = streams
        assert corpus.bands(members) == {
            **bleu_band(alone, first, False, "bleu", more, tokenizer="13a"),
            **bleu_band(alone, first, True, "bleu_lowercased", more, tokenizer="13a"),
        }
    assert set(corpus.measure([]).values()) == {None}
