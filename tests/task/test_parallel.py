"""Parallel text as a task: words, vocabularies, what is kept, passes over training, counts by pen and paper."""

import inspect
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
import sacrebleu
import yaml

from softlookup.contract import Example
from softlookup.errors import UserError
from softlookup.task.parallel import FEWEST, Parallel
from softlookup.vocabulary import SPECIALS, UNK

Lines = list[tuple[str, str]]
CONFIG = Path(__file__).parents[2] / "conf" / "task" / "multi30k.yaml"
TRAIN: Lines = [
    ("Ein Hund rennt.", "A dog runs."),
    ("Ein Hund schläft.", "A dog sleeps."),
    ("Ein Hund, ein Mann.", "A dog, a man."),
]


def parallel(path: Path, train: Lines, validation: Lines = TRAIN[:1], test: Lines = TRAIN[:1], **given: object):
    """The task on these pairs, German to English, everything kept unless `given` says otherwise."""
    for stem, pairs in (("train", train), ("val", validation), ("test", test)):
        for language, side in zip(("de", "en"), zip(*pairs, strict=True), strict=True):
            (path / f"{stem}.{language}").write_text("".join(f"{line}\n" for line in side))
    settings = {"source": "de", "target": "en", "minimum_frequency": 1, "lowercase": True, "longest": 50}
    settings |= {"alignment": None, "silver": None}
    return Parallel(path=str(path), dataset="", **settings | given)


def of_lengths(*lengths: int) -> Lines:
    """Pairs whose sources have these lengths; each is the only one with its first word."""
    return [(" ".join([f"s{i}", *["x"] * (n - 1)]), "y") for i, n in enumerate(lengths)]


def test_the_config_names_every_argument() -> None:
    config = yaml.safe_load(CONFIG.read_text())
    assert config.pop("_target_") == "softlookup.task.parallel.Parallel"
    assert list(config) == list(inspect.signature(Parallel).parameters)


def test_vocabularies_by_pen_and_paper(tmp_path: Path) -> None:
    task = parallel(tmp_path, TRAIN, validation=[("neu", "new")], test=[("neu", "new")])
    # ein 4, "." 3, hund 3, then once each by code point; nothing of validation and test.
    assert task.source_vocabulary.tokens == (*SPECIALS, "ein", ".", "hund", ",", "mann", "rennt", "schläft")
    assert task.target_vocabulary.tokens == (*SPECIALS, "a", ".", "dog", ",", "man", "runs", "sleeps")
    assert task.test() == [Example((UNK,), (UNK,), reference="new")]


def test_minimum_frequency_and_case(tmp_path: Path) -> None:
    task = parallel(tmp_path, TRAIN, minimum_frequency=2, lowercase=False)
    assert task.source_vocabulary.tokens == (*SPECIALS, ".", "Ein", "Hund")
    assert task.validation()[0] == Example((5, 6, UNK, 4), (5, 6, UNK, 4), reference="A dog runs.")


def test_vocabularies_do_not_depend_on_the_order_of_lines(tmp_path: Path) -> None:
    one, other = (parallel(tmp_path, train) for train in (TRAIN, TRAIN[::-1]))
    assert one.source_vocabulary.tokens == other.source_vocabulary.tokens
    assert one.target_vocabulary.tokens == other.target_vocabulary.tokens


def test_words_score_as_the_reference_does(tmp_path: Path) -> None:
    line = "  It's a 3,5-year-old's \"U.S.\" &amp; <unk> <pad> test\u2028(1990-91), no?  "
    task = parallel(tmp_path, [("x", line)], test=[("x", line)], lowercase=False)
    example = task.test()[0]
    assert example.reference == line.strip()
    assert UNK not in example.target
    hypothesis = " ".join(task.target_vocabulary.decode(example.target))
    assert sacrebleu.corpus_bleu([hypothesis], [[example.reference]]).score == pytest.approx(100)


def test_no_gold_and_reversed_languages(tmp_path: Path) -> None:
    there = parallel(tmp_path, TRAIN)
    back = parallel(tmp_path, TRAIN, source="en", target="de")
    assert back.source_vocabulary.tokens == there.target_vocabulary.tokens
    for one, other in zip(there.test(), back.test(), strict=True):
        assert (one.source, one.target) == (other.target, other.source)
        assert one.sure == one.possible == ()
    assert back.test()[0].reference == "ein hund rennt."


def test_a_byte_order_mark_and_crlf_change_nothing(tmp_path: Path) -> None:
    plain = parallel(tmp_path, TRAIN)
    (tmp_path / "train.de").write_bytes(
        b"\xef\xbb\xbf" + "".join(f"{source}\r\n" for source, _ in TRAIN).encode().removesuffix(b"\r\n")
    )
    other = Parallel(str(tmp_path), "", "de", "en", 1, True, 50, None, None)
    assert other.source_vocabulary.tokens == plain.source_vocabulary.tokens
    assert other.notes() == plain.notes()


def test_long_and_wordless_training_pairs_are_dropped_and_counted(tmp_path: Path) -> None:
    train = [("a b c", "x"), ("a b c d", "x"), ("a", "x y z w"), ("a", ""), ("", "x"), ("<skipped>", "x"), ("a", "x")]
    task = parallel(tmp_path, train, longest=3)
    assert task.lengths == (1, 3)
    assert {len(e.source) for e in islice(task.training(np.random.default_rng(7), lambda: 3), 11)} == {1, 3}
    assert task.notes()[0] == (
        "train: 2 pairs de → en; dropped 2 with a side longer than task.longest=3 words, 3 with a side without words"
    )


def test_nothing_is_dropped_from_validation_and_test(tmp_path: Path) -> None:
    long = [("w " * 97, "v " * 89), ("a", "x")]
    task = parallel(tmp_path, [("a b c", "x")], validation=long, test=long, longest=3)
    assert [len(e.source) for e in task.validation()] == [len(e.source) for e in task.test()] == [97, 1]
    assert task.buckets == ((1, 97),)
    with pytest.raises(UserError, match=r"val\.en, line 2 has no words; remove this line from both languages"):
        parallel(tmp_path, TRAIN, validation=[("a", "x"), ("a", " ")])
    with pytest.raises(UserError, match=r"test\.de, line 3 has no words"):
        parallel(tmp_path, TRAIN, test=[("a", "x"), ("a", "x"), ("", "x")])


def test_settings_that_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no training pair is left of .*train\.de and .*train\.en: dropped 3 with"):
        parallel(tmp_path, TRAIN, longest=1)
    with pytest.raises(UserError, match=r"train\.de: the vocabulary has nothing but specials; lower task\.minimum"):
        parallel(tmp_path, TRAIN, minimum_frequency=13)
    for settings in ({"longest": 0}, {"minimum_frequency": 0}):
        with pytest.raises(UserError, match="both are 1 or more"):
            parallel(tmp_path, TRAIN, **settings)
    with pytest.raises(UserError, match="both en; give two languages"):
        parallel(tmp_path, TRAIN, source="en")


def test_overlap_and_unknown_words_by_pen_and_paper(tmp_path: Path) -> None:
    train = [("a b", "x y"), ("a b", "x z"), ("c", "x"), ("d d d d", "x")]
    validation = [("a b", "x z"), ("A  b", "x q"), ("c c", "x")]
    test = [("c", "x"), ("c", "x"), ("c", "y"), ("b a q", "x"), ("d", "x q")]
    notes = parallel(tmp_path, train, validation, test, longest=3).notes()
    assert notes[1:] == [
        "validation: 3 pairs; 1 of them and 2 of their sources are in training too",
        "test: 5 pairs; 2 of them and 3 of their sources are in training too",
        # Of the sources c c c b a q d, q and d (dropped as too long) are unknown; of x x y x x q, q is.
        "vocabulary: de 7, en 7; unknown words of test: de 28.6%, en 16.7%",
    ]


def test_every_pair_comes_once_in_a_pass_and_passes_differ(tmp_path: Path) -> None:
    lengths = [2, 3, 5, 7, 11, 13, 17] * 3
    task = parallel(tmp_path, of_lengths(*lengths))
    stream = task.training(np.random.default_rng(3), lambda: 7)
    fitting = sum(n <= 7 for n in lengths)
    passes = [list(islice(stream, fitting)) for _ in range(5)]
    for examples in passes:
        assert len(set(examples)) == fitting
        assert max(len(e.source) for e in examples) == 7
    assert all(one != other for one, other in pairwise(passes))
    again = task.training(np.random.default_rng(3), lambda: 7)
    assert list(islice(again, fitting)) == passes[0]


def test_the_limit_is_asked_for_each_example(tmp_path: Path) -> None:
    task = parallel(tmp_path, of_lengths(*range(2, 43)))
    limit = 2
    stream = task.training(np.random.default_rng(5), lambda: limit)
    first_pass = []
    for limit in range(2, 42):
        example = next(stream)
        assert len(example.source) <= limit
        first_pass.append(example)
    limit = 42
    assert {len(e.source) for e in islice(stream, 500)} == set(range(2, 43))


def test_growing_in_the_middle_of_a_pass_repeats_nothing(tmp_path: Path) -> None:
    task = parallel(tmp_path, of_lengths(*[2] * 19, *[5] * 23))
    limit = 2
    stream = task.training(np.random.default_rng(11), lambda: limit)
    seen = list(islice(stream, 7))
    limit = 5
    # What is left of this pass: the 12 other short pairs, each once, before any of the seven comes again.
    while (example := next(stream)) not in seen:
        seen.append(example)
    assert sum(len(e.source) == 2 for e in seen) == 19
    assert sum(len(e.source) == 5 for e in seen) > 0


def test_a_limit_below_every_sentence_is_an_error_and_no_endless_loop(tmp_path: Path) -> None:
    task = parallel(tmp_path, of_lengths(3, 5))
    with pytest.raises(UserError, match="allows 2 source words, and the shortest training sentence has 3"):
        next(task.training(np.random.default_rng(0), lambda: 2))


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (
            {4: FEWEST, 13: FEWEST, 18: FEWEST, 27: FEWEST, 37: FEWEST},
            ((1, 10), (11, 15), (16, 20), (21, 30), (31, 37)),
        ),
        ({4: FEWEST, 13: FEWEST, 18: FEWEST, 27: FEWEST, 37: 1}, ((1, 10), (11, 15), (16, 20), (21, 37))),
        ({10: FEWEST, 11: 1, 21: FEWEST - 1, 25: FEWEST}, ((1, 10), (11, 25))),
        ({13: FEWEST}, ((1, 13),)),
        ({5: FEWEST}, ((1, 5),)),
        ({41: 1}, ((1, 41),)),
    ],
)
def test_buckets_share_out_the_test_set(tmp_path: Path, counts: dict, expected: tuple) -> None:
    test = of_lengths(*(length for length, count in counts.items() for _ in range(count)))
    task = parallel(tmp_path, TRAIN, test=test)
    assert task.buckets == expected
    inside = [[low <= len(e.source) <= high for e in task.test()] for low, high in task.buckets]
    assert all(sum(column) == 1 for column in zip(*inside, strict=True))
    assert all(any(row) for row in inside)


def test_from_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    from datasets import Dataset, DatasetDict

    data = {"de": ["Ein Hund", None], "en": ["A dog", "lost"]}
    sides = {"train": data, "validation": {"de": ["Ein"], "en": ["A"]}, "test": {"de": ["Hund"], "en": ["dog"]}}
    splits = DatasetDict({name: Dataset.from_dict(columns) for name, columns in sides.items()})
    monkeypatch.setattr("softlookup.task.lines.hub_unreachable", lambda: None)
    monkeypatch.setattr("datasets.load_dataset", lambda name: splits if name == "bentrevett/multi30k" else None)
    task = Parallel(None, "bentrevett/multi30k", "de", "en", 1, True, 50, None, None)
    assert task.source_vocabulary.tokens[4:] == ("ein", "hund")
    assert task.notes()[0].endswith("1 with a side without words")
    assert task.test() == [Example((5,), (5,), reference="dog")]


def test_quantiles_are_those_of_the_training_lengths(tmp_path: Path) -> None:
    task = parallel(tmp_path, of_lengths(2, 3, 5, 7, 11))
    assert [task.quantile(share) for share in (0.0, 0.2, 0.21, 0.6, 1.0)] == [2, 2, 3, 5, 11]
