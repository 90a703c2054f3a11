"""Bands in charts: bootstrap bands for one seed, the range of seeds for several, and the caption that says which."""

import fake_runs
import numpy as np
import pytest
from sacrebleu.metrics import BLEU

from softlookup.analysis.load import by_length, read
from softlookup.analysis.statistics import band_note, spread
from softlookup.dashboard import static_figure
from softlookup.dashboard.page_data import payload
from softlookup.evaluation.metrics.bootstrap import bleu_band

VARIANTS = [f"{paper} · task.longest={n}" for paper in ("bahdanau2014", "cho2014") for n in (15, 30)]


def sentences(count, wrong):
    """Generate references of 11 words, and hypotheses with one in `wrong` words replaced on average."""
    generator = np.random.default_rng(count)
    references = [[f"w{i}" for i in generator.integers(0, 53, 11)] for _ in range(count)]
    hypotheses = [["x" if generator.random() < 1 / wrong else w for w in words] for words in references]
    return [" ".join(words) for words in hypotheses], [" ".join(words) for words in references]


def test_the_band_contains_the_score_and_its_width_falls_with_the_root_of_the_size():
    widths = []
    for count in (53, 53 * 16):
        hypotheses, references = sentences(count, 7)
        found = bleu_band(hypotheses, references, lowercase=True, tokenizer="13a")
        score = BLEU(lowercase=True, force=True).corpus_score(hypotheses, [references]).score
        assert found["bleu_low"] < score < found["bleu_high"]
        widths.append(found["bleu_high"] - found["bleu_low"])
    assert widths[0] / widths[1] == pytest.approx(4, rel=0.25)


def test_the_band_equals_that_of_an_independent_bootstrap():
    """The n-gram counts of each sentence are resampled and summed in NumPy."""
    hypotheses, references = sentences(31, 5)
    metric = BLEU(lowercase=True, force=True, smooth_method="none")
    rows = []
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        one = metric.corpus_score([hypothesis], [[reference]])
        rows.append([*one.counts, *one.totals])
    rows = np.array(rows, dtype=float)
    samples = np.random.default_rng(5).integers(0, 31, (20_000, 31))
    counts = rows[samples].sum(1)
    scores = 100 * np.exp(np.log(counts[:, :4] / counts[:, 4:]).mean(1))  # equal lengths: no brevity penalty
    found = bleu_band(hypotheses, references, lowercase=True, tokenizer="13a")
    assert [found["bleu_low"], found["bleu_high"]] == pytest.approx(np.quantile(scores, [0.025, 0.975]), abs=0.8)


def test_the_same_outputs_give_the_same_band_and_perfect_outputs_zero_width():
    outputs = sentences(17, 5)
    assert bleu_band(*outputs, lowercase=True, tokenizer="13a") == bleu_band(*outputs, lowercase=True, tokenizer="13a")
    same = bleu_band(["a b c d e"] * 7, ["a b c d e"] * 7, lowercase=True, tokenizer="13a")
    assert (same["bleu_low"], same["bleu_high"]) == pytest.approx((100, 100))


def test_a_set_without_spread_has_no_band_and_counts_must_match():
    for count in (0, 1):
        assert bleu_band(["a"] * count, ["a"] * count, lowercase=True, tokenizer="13a") == {
            "bleu_low": None,
            "bleu_high": None,
        }
    with pytest.raises(ValueError, match="1 hypotheses and 2 references"):
        bleu_band(["a"], ["a", "b"], lowercase=True, tokenizer="13a")


def chosen(runs_dir):
    rows = read(runs_dir)
    buckets = by_length(rows)
    return rows, buckets[buckets["measure"] == "bleu"]


def test_bounds_are_not_listed_as_measures(tmp_path):
    rows, bleu = chosen(fake_runs.papers(tmp_path))
    assert not set(by_length(rows)["measure"]) & {"bleu_low", "bleu_high"}
    assert (bleu["band_low"] == bleu["value"] - 1 - bleu["high"] / 40).all()
    accuracy = by_length(rows).query("measure == 'token_accuracy'")
    assert accuracy["band_low"].isna().all()


def test_a_variant_of_a_paper_is_named_after_the_paper(tmp_path):
    assert sorted(read(fake_runs.papers(tmp_path))["variant"].unique()) == VARIANTS


def test_one_seed_has_a_bootstrap_band_and_several_have_their_range(tmp_path):
    _, one = chosen(fake_runs.papers(tmp_path / "one"))
    _, two = chosen(fake_runs.papers(tmp_path / "two", seeds=2))
    cells = one[one["variant"] == VARIANTS[0]]
    assert spread(cells, "length")["low"].tolist() == pytest.approx(cells["band_low"].tolist())
    assert spread(cells, "length")["high"].tolist() == pytest.approx(cells["band_high"].tolist())
    cells = two[two["variant"] == VARIANTS[0]]
    seeds = cells.groupby("length")["value"]
    assert spread(cells, "length")["low"].tolist() == seeds.min().tolist()
    assert spread(cells, "length")["high"].tolist() == seeds.max().tolist()
    assert band_note(one) == "bands: 95 % of 1,000 bootstrap resamples of the test sentences (one seed)"
    assert band_note(two) == "bands: lowest to highest seed"
    mixed = two[(two["variant"] != VARIANTS[0]) | (two["seed"] == 1)]
    assert band_note(mixed).startswith("bands: lowest to highest seed; where there is a single one, 95 %")
    assert band_note(one.assign(band_low=np.nan, band_high=np.nan)) == "one seed: no bands"


def test_the_page_has_the_bounds_of_variants_with_one_seed(tmp_path):
    rows, bleu = chosen(fake_runs.papers(tmp_path))
    (task,) = payload(rows)["experiments"][0]["tasks"]
    assert task["longest"] == [15, 30]
    place = [task["variants"][variant]["name"] for variant in task["variant"]]
    for name in VARIANTS:
        cells = bleu[bleu["variant"] == name]
        for end in ("low", "high"):
            spans = [f"{low}–{high}" for low, high in zip(cells["low"], cells["high"], strict=True)]
            found = [task["bands"][end]["bleu"][span][place.index(name)] for span in spans]
            assert found == pytest.approx(cells[f"band_{end}"].to_list())
    (several,) = payload(read(fake_runs.papers(tmp_path / "two", seeds=2)))["experiments"][0]["tasks"]
    assert several["bands"] == {"low": {}, "high": {}}


def test_the_picture_labels_its_bands(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(static_figure.atomic_files, "write", lambda *_: None)
    monkeypatch.setattr(static_figure.Figure, "savefig", lambda self, *_, **__: figures.append(self))
    static_figure.readme_picture(read(fake_runs.papers(tmp_path)), "bleu_by_length", tmp_path / "a.png", "bleu")
    (figure,) = figures
    assert figure.get_supxlabel() == "bands: 95 % of 1,000 bootstrap resamples of the test sentences (one seed)"
    assert len(figure.axes[0].collections) == len(VARIANTS)
    assert figure.axes[0].get_ylabel() == "BLEU"
