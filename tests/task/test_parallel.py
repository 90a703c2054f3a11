"""Parallel text as a task: words, vocabularies, filtering, passes over the training set, and notes."""

import gc
import inspect
import json
import unicodedata
from collections import Counter
from collections.abc import Iterable
from itertools import islice, pairwise
from pathlib import Path
from types import FunctionType, ModuleType

import numpy as np
import pytest
import sacrebleu
import yaml

from softlookup.contract import Example, Segmentation
from softlookup.curriculum.adaptive import Adaptive
from softlookup.curriculum.fixed import Fixed
from softlookup.curriculum.linear import Linear
from softlookup.data.training_stream import Batching, TrainingStream
from softlookup.errors import UserError
from softlookup.segmentation.bpe import Bpe
from softlookup.segmentation.unigram import Unigram
from softlookup.segmentation.word import Word
from softlookup.system import content_cache
from softlookup.task.judged import FEWEST
from softlookup.task.parallel import Parallel
from softlookup.text.languages import splitting
from softlookup.text.vocabulary import SPECIALS, UNK

Lines = list[tuple[str, str]]
CONFIG = Path(__file__).parents[2] / "conf" / "task" / "multi30k.yaml"
TRAIN: Lines = [
    ("Ein Hund rennt.", "A dog runs."),
    ("Ein Hund schläft.", "A dog sleeps."),
    ("Ein Hund, ein Mann.", "A dog, a man."),
]


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def parallel(path: Path, train: Lines, validation: Lines = TRAIN[:1], test: Lines = TRAIN[:1], **given: object):
    """Write the pairs and build the task, German to English, with settings that keep everything; `given` overrides."""
    for stem, pairs in (("train", train), ("val", validation), ("test", test)):
        for language, side in zip(("de", "en"), zip(*pairs, strict=True), strict=True):
            (path / f"{stem}.{language}").write_text("".join(f"{line}\n" for line in side))
    settings = {"source": "de", "target": "en", "segmentation": Word(1, True)}
    settings |= {"columns": None, "longest": 50, "concatenate": 1}
    settings |= {"alignment": None, "silver": None}
    return Parallel(**{"path": str(path), "dataset": None} | settings | given)


def of_lengths(*lengths: int) -> Lines:
    """Return pairs with sources of these lengths; each source has a unique first word."""
    return [(" ".join([f"s{i}", *["x"] * (n - 1)]), "y") for i, n in enumerate(lengths)]


def test_the_config_names_every_argument() -> None:
    config = yaml.safe_load(CONFIG.read_text())
    assert config.pop("_target_") == "softlookup.task.parallel.Parallel"
    assert list(config) == list(inspect.signature(Parallel).parameters)


def test_vocabularies_by_hand(tmp_path: Path) -> None:
    task = parallel(tmp_path, TRAIN, validation=[("neu", "new")], test=[("neu", "new")])
    # ein 4, "." 3, hund 3, then once each in code point order; nothing from validation and test.
    assert task.source_vocabulary.tokens == (*SPECIALS, "ein", ".", "hund", ",", "mann", "rennt", "schläft")
    assert task.target_vocabulary.tokens == (*SPECIALS, "a", ".", "dog", ",", "man", "runs", "sleeps")
    assert task.test() == [Example((UNK,), (UNK,), reference="new", units=1)]


def test_minimum_frequency_and_case_are_respected(tmp_path: Path) -> None:
    task = parallel(tmp_path, TRAIN, segmentation=Word(2, False))
    assert task.source_vocabulary.tokens == (*SPECIALS, ".", "Ein", "Hund")
    assert task.validation()[0] == Example((5, 6, UNK, 4), (5, 6, UNK, 4), reference="A dog runs.", units=4)


def test_a_limited_vocabulary_has_the_most_frequent_words(tmp_path: Path) -> None:
    task = parallel(tmp_path, TRAIN, segmentation=Word(1, True, 7, 6))
    assert task.source_vocabulary.tokens == (*SPECIALS, "ein", ".", "hund")
    assert task.target_vocabulary.tokens == (*SPECIALS, "a", ".")
    with pytest.raises(UserError, match=r"segmentation\.vocabulary_size=4: expected null or more than 4"):
        Word(1, True, 4)
    with pytest.raises(UserError, match=r"segmentation\.target_vocabulary_size=3: expected null"):
        Word(1, True, None, 3)


def test_vocabularies_do_not_depend_on_the_order_of_lines(tmp_path: Path) -> None:
    one, other = (parallel(tmp_path, train) for train in (TRAIN, TRAIN[::-1]))
    assert one.source_vocabulary.tokens == other.source_vocabulary.tokens
    assert one.target_vocabulary.tokens == other.target_vocabulary.tokens


def test_tokenized_references_score_bleu_100(tmp_path: Path) -> None:
    line = "  It's a 3,5-year-old's \"U.S.\" &amp; <unk> <pad> test\u2028(1990-91), no?  "
    task = parallel(tmp_path, [("x", line)], test=[("x", line)], segmentation=Word(1, False))
    example = task.test()[0]
    assert example.reference == line.strip()
    assert UNK not in example.target
    hypothesis = " ".join(task.target_vocabulary.decode(example.target))
    assert sacrebleu.corpus_bleu([hypothesis], [[example.reference]]).score == pytest.approx(100)


def test_languages_can_be_reversed_and_there_is_no_gold_by_default(tmp_path: Path) -> None:
    forward = parallel(tmp_path, TRAIN)
    back = parallel(tmp_path, TRAIN, source="en", target="de")
    assert back.source_vocabulary.tokens == forward.target_vocabulary.tokens
    for one, other in zip(forward.test(), back.test(), strict=True):
        assert (one.source, one.target) == (other.target, other.source)
        assert one.sure == one.possible == ()
    assert back.test()[0].reference == "Ein Hund rennt."


def test_a_byte_order_mark_and_crlf_change_nothing(tmp_path: Path) -> None:
    plain = parallel(tmp_path, TRAIN)
    (tmp_path / "train.de").write_bytes(
        b"\xef\xbb\xbf" + "".join(f"{source}\r\n" for source, _ in TRAIN).encode().removesuffix(b"\r\n")
    )
    other = Parallel(str(tmp_path), None, None, "de", "en", Word(1, True), 50, 1, None, None)
    assert other.source_vocabulary.tokens == plain.source_vocabulary.tokens
    assert other.notes() == plain.notes()


def test_long_and_wordless_training_pairs_are_dropped_and_counted(tmp_path: Path) -> None:
    train = [("a b c", "x"), ("a b c d", "x"), ("a", "x y z w"), ("a", ""), ("", "x"), ("<skipped>", "x"), ("a", "x")]
    task = parallel(tmp_path, train, longest=3)
    assert task.lengths == (1, 3)
    assert {len(e.source) for e in islice(task.training(np.random.default_rng(7), lambda: 3), 11)} == {1, 3}
    assert task.notes()[0] == (
        "train: 2 pairs de → en; dropped 2 with a side longer than task.longest=3 tokens, 3 with a side without words"
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


def test_a_line_far_longer_than_training_is_reported_by_its_number(tmp_path: Path) -> None:
    train = [("a b c", "x"), ("a", "x y z w v u t s r")]
    test = [("a", "x"), ("w " * 10, "x"), ("w " * 9, "x " * 601), ("w " * 9, "x " * 9)]
    length_notes = [note for note in parallel(tmp_path, train, test=test).notes() if "line" in note]
    assert [note.split(":")[0].rsplit("/")[-1] for note in length_notes] == [
        "test.de, line 2 has 10 tokens, and the longest source of training 3",
        "test.en, line 3 has 601 tokens, and the longest source of training 3",
    ]
    many = parallel(tmp_path, train, validation=[("w " * 11, "x")] * 7).notes()
    assert [note for note in many if "line" in note][-1].startswith(f"{tmp_path / 'val.de'}, line 3 has 11 tokens")
    assert many[-1] == "and 4 more sides as long"


def test_settings_that_leave_no_training_pair_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no training pair is left of .*train\.de and .*train\.en: none has 1 to"):
        parallel(tmp_path, TRAIN, longest=1)
    with pytest.raises(UserError, match=r"no training pair is left of .*train\.de and .*train\.en: dropped 3 with"):
        parallel(tmp_path, TRAIN, longest=1, segmentation=Bpe(260, True, True))
    with pytest.raises(
        UserError, match=r"train\.de: the vocabulary has only special tokens; lower segmentation\.minimum"
    ):
        parallel(tmp_path, TRAIN, segmentation=Word(13, True))
    with pytest.raises(UserError, match="both are 1 or more"):
        parallel(tmp_path, TRAIN, longest=0)
    with pytest.raises(UserError, match="concatenate=0: both are 1 or more"):
        parallel(tmp_path, TRAIN, concatenate=0)
    with pytest.raises(UserError, match="both en; give two languages"):
        parallel(tmp_path, TRAIN, source="en")


def parallel_of(path: Path, languages: tuple[str, str], train: Lines, test: Lines, **given: object) -> Parallel:
    """Write pairs of the given languages and build the task."""
    for stem, pairs in (("train", train), ("val", test), ("test", test)):
        for language, side in zip(languages, zip(*pairs, strict=True), strict=True):
            (path / f"{stem}.{language}").write_text("".join(f"{line}\n" for line in side))
    settings = {"dataset": None, "columns": None, "segmentation": Word(2, True), "longest": 50, "concatenate": 1}
    settings |= {"alignment": None, "silver": None, "source": languages[0], "target": languages[1]}
    return Parallel(path=str(path), **settings | given)


def test_text_without_spaces_is_counted_in_characters_with_a_note_on_unknown_words(tmp_path: Path) -> None:
    train = [("男犬家", "a dog"), ("男犬走る", "a dog"), ("男", "a cat"), ("男", "a man")]
    task = parallel_of(tmp_path, ("ja", "en"), train, [("男犬 家", "a dog"), ("男が走る", "a cat")])
    assert [e.length for e in task.test()] == [3, 4]
    assert (task.length_unit, task.trained, task.splitting.tokenizer) == ("characters", 4, "13a")
    (unknown,) = [note for note in task.notes() if "unknown (" in note]
    # In training only the line 男 occurs twice; every test line is unknown. Half of the English is known.
    assert unknown.startswith("most words of ja are unknown (100% of validation, 100% of test)")
    assert "segmentation=unigram" in unknown
    assert "unknown (" not in str(
        parallel_of(tmp_path, ("ja", "en"), train, train[:1], segmentation=Unigram(300, True, True)).notes()
    )


def test_bleu_uses_the_target_language_and_an_unknown_code_is_noted_once(tmp_path: Path) -> None:
    train = [("a dog", "犬"), ("a cat", "猫"), ("a dog", "犬")]
    task = parallel_of(tmp_path, ("en", "zh_TW"), train, train)
    assert (task.length_unit, task.splitting) == ("words", splitting("zh"))
    unknown = parallel_of(tmp_path, ("en", "xx"), train, train).notes()
    assert len([note for note in unknown if "task.target=xx is not a known language code" in note]) == 1
    assert "language code" not in str(parallel_of(tmp_path, ("en", "xx"), train, train, tokenizer="char").notes())
    with pytest.raises(UserError, match="did you mean char"):
        parallel_of(tmp_path, ("en", "xx"), train, train, tokenizer="chars")


def test_overlap_and_unknown_words_by_hand(tmp_path: Path) -> None:
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


def test_every_pair_occurs_once_per_pass_and_passes_differ(tmp_path: Path) -> None:
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


def test_the_length_limit_is_read_for_every_example(tmp_path: Path) -> None:
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


def test_a_limit_that_grows_within_a_pass_repeats_no_example(tmp_path: Path) -> None:
    task = parallel(tmp_path, of_lengths(*[2] * 19, *[5] * 23))
    limit = 2
    stream = task.training(np.random.default_rng(11), lambda: limit)
    seen = list(islice(stream, 7))
    limit = 5
    # The rest of this pass has the 12 other short pairs, each once, before any of the seven is repeated.
    while (example := next(stream)) not in seen:
        seen.append(example)
    assert sum(len(e.source) == 2 for e in seen) == 19
    assert sum(len(e.source) == 5 for e in seen) > 0


def test_a_limit_below_every_sentence_raises_an_error(tmp_path: Path) -> None:
    task = parallel(tmp_path, of_lengths(3, 5))
    with pytest.raises(UserError, match="allows 2 source tokens, and the shortest training sentence has 3"):
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
def test_buckets_partition_the_test_set(tmp_path: Path, counts: dict, expected: tuple) -> None:
    test = of_lengths(*(length for length, count in counts.items() for _ in range(count)))
    task = parallel(tmp_path, TRAIN, test=test)
    assert task.buckets == expected
    inside = [[low <= len(e.source) <= high for e in task.test()] for low, high in task.buckets]
    assert all(sum(column) == 1 for column in zip(*inside, strict=True))
    assert all(any(row) for row in inside)


@pytest.mark.parametrize("segmentation", [Word(1, True), Bpe(300, True, True)])
def test_equivalent_spellings_of_a_line_are_one_line_in_every_split(tmp_path: Path, segmentation: Segmentation) -> None:
    """Surrounding spaces and decomposed accents (NFD), on either side of every split."""
    plain: Lines = [("Ein M\u00e4dchen l\u00e4uft.", "A caf\u00e9 girl runs."), *TRAIN]
    typed = [
        (f" {unicodedata.normalize('NFD', one)}\u00a0 ", f"\t{unicodedata.normalize('NFD', two)} ")
        for one, two in plain
    ]
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    task = parallel(tmp_path / "one", plain, plain, plain, segmentation=segmentation, concatenate=2)
    other = parallel(tmp_path / "two", typed, typed, typed, segmentation=segmentation, concatenate=2)
    assert other.source_vocabulary.state() == task.source_vocabulary.state()
    assert (other.validation(), other.test(), other.notes()) == (task.validation(), task.test(), task.notes())
    assert other.test()[0].reference == plain[0][1]
    examples = [list(islice(each.training(np.random.default_rng(3), lambda: 50), 6)) for each in (task, other)]
    assert examples[0] == examples[1]
    for (line, _), (as_typed, _), example in zip(plain, typed, task.test(), strict=False):
        assert other.source_vocabulary.read(as_typed) == task.source_vocabulary.read(line) == example.source
    assert any("4 of them and 4 of their sources are in training too" in note for note in other.notes())


def test_overlap_with_training_is_found_in_any_spelling(tmp_path: Path) -> None:
    composed, decomposed = "Ein M\u00e4dchen", "Ein Ma\u0308dchen "
    task = parallel(tmp_path, [*TRAIN, (composed, "A girl")], test=[(decomposed, "A girl ")])
    assert any(note.startswith("test: 1 pairs; 1 of them and 1 of their sources") for note in task.notes())


def test_the_training_order_is_one_permutation_per_pass(tmp_path: Path) -> None:
    """The generator draws one permutation of all pairs per pass and nothing else."""
    task = parallel(tmp_path, of_lengths(*[2, 3, 5, 7, 11] * 7))
    examples = task._corpus.examples
    everything = [examples[i] for i in range(len(examples))]
    oracle = np.random.default_rng(19)
    expected = [everything[i] for _ in range(3) for i in oracle.permutation(35)]
    assert list(islice(task.training(np.random.default_rng(19), lambda: 11), 105)) == expected


@pytest.mark.parametrize("segmentation", [Word(1, True), Bpe(300, True, True)])
@pytest.mark.parametrize("batching", [Batching(61), Batching(61, pool=1), Batching(None, 7, pool=3), Batching(4000)])
def test_batches_hold_every_sentence_once_per_pass(
    tmp_path: Path, segmentation: Segmentation, batching: Batching
) -> None:
    count, passes = 541, 3
    lines = [(f"s{i} {'x ' * (i % 7)}", f"t{i} {'y ' * (i % 5)}") for i in range(count)]
    task = parallel(tmp_path, lines, segmentation=segmentation)
    assert task.notes()[0].startswith(f"train: {count} pairs")
    tokens = sum(len(task.target_vocabulary.read(target.strip())) + 1 for _, target in lines)
    stream = TrainingStream(task, Fixed(task), 3, passes * tokens, batching)
    counts, ends = Counter[Example](), []
    for (batch,) in stream:
        counts.update(batch.examples)
        assert max(counts.values()) == -(-counts.total() // count)  # no repetition before every sentence was given
        if counts.total() % count == 0:
            ends.append((len(counts), set(counts.values())))
    assert ends == [(count, {number + 1}) for number in range(passes)]


def test_short_sentences_occur_once_per_pass_under_a_growing_limit(tmp_path: Path) -> None:
    task = parallel(tmp_path, of_lengths(*[2] * 43, *[3] * 19, *[5] * 23, *[7] * 31))
    grown = TrainingStream(task, Linear(task, until=0.7), 3, 1601, Batching(23, pool=2))
    linear = [example for (batch,) in grown for example in batch.examples]
    adaptive = Adaptive(task, 2, 3, 0.9)
    stream = TrainingStream(task, adaptive, 3, 1601, Batching(23, pool=2))
    adapted = []
    for number, (batch,) in enumerate(stream, 1):
        adapted += batch.examples
        if number % 17 == 0:
            adaptive.observe(0.0, {adaptive.length(0.0): 1.0})
    for examples in (linear, adapted):
        assert {len(example.source) for example in examples} == {2, 3, 5, 7}
        short = [example for example in examples if len(example.source) == 2]
        assert len(short) > 3 * 43
        for begin in range(0, len(short), 43):
            one = short[begin : begin + 43]
            assert len(set(one)) == len(one)


@pytest.mark.parametrize("batching", [Batching(61), Batching(61, pool=1), Batching(None, 29)])
def test_small_data_sets_fill_a_batch_with_whole_passes(tmp_path: Path, batching: Batching) -> None:
    """Three sentences of two target tokens each, and one that exceeds the length limit."""
    task = parallel(tmp_path, of_lengths(2, 3, 5, 7))

    class Short(Fixed):
        def length(self, progress: float) -> int:  # noqa: ARG002
            return 5

    *batches, _ = [batch for (batch,) in TrainingStream(task, Short(task), 3, 997, batching)]
    assert len(batches) > 9
    for batch in batches:
        assert not batching.full(len(batch.examples), 2 * len(batch.examples))
        assert batching.full(2 * len(batch.examples), 4 * len(batch.examples))
        assert len(set(Counter(batch.examples).values())) == 1
        assert len(set(batch.examples)) == 3


def test_a_saved_position_in_any_pass_is_restored(tmp_path: Path) -> None:
    task = parallel(tmp_path, of_lengths(*[2, 3, 5, 7, 11] * 7))

    def stream() -> TrainingStream:
        return TrainingStream(task, Linear(task, until=0.5), 3, 401, Batching(13, pool=2))

    whole = [batch.examples for (batch,) in stream()]
    for position in range(len(whole)):
        read, again = stream(), stream()
        for _ in islice(read, position):
            pass
        again.load_state_dict(json.loads(json.dumps(read.state_dict(position))))
        assert [batch.examples for (batch,) in again] == whole[position:]


def test_no_example_is_kept_in_memory(tmp_path: Path) -> None:
    """Neither the task nor its training stream holds examples, apart from validation and test."""
    lines = [(f"s{i} a", f"t{i}") for i in range(331)]
    task = parallel(tmp_path, lines, validation=lines[:2], test=lines[:3])
    stream = task.training(np.random.default_rng(1), lambda: 50)
    for _ in range(1000):
        next(stream)
    gc.collect()
    reachable, found = [task, stream], set()
    while reachable:
        thing = reachable.pop()
        if id(thing) not in found and not isinstance(thing, type | ModuleType | FunctionType):
            found.add(id(thing))
            reachable += gc.get_referents(thing)
    alive = [thing for thing in gc.get_objects() if isinstance(thing, Example) and id(thing) in found]
    assert len(alive) == 5


def test_the_encoded_corpus_is_cached_and_rebuilt_if_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def content(task: Parallel) -> list:
        stream = task.training(np.random.default_rng(5), lambda: 50)
        return [*islice(stream, 7), task.notes(), task.source_vocabulary.tokens, task.lengths]

    first = content(parallel(tmp_path, TRAIN))
    folder = content_cache.folder() / "text"
    encoded, described = sorted(folder.iterdir())
    for file in (encoded, described):
        whole = file.read_bytes()
        for damaged in (whole[:-3], b"", whole[:40] + b"?" + whole[41:]):
            file.write_bytes(damaged)
            assert content(parallel(tmp_path, TRAIN)) == first
            assert file.read_bytes() == whole
    with monkeypatch.context() as patch:
        patch.setattr("softlookup.task.corpus._make", None)  # nothing is built from a complete cache
        assert content(parallel(tmp_path, TRAIN)) == first
    assert sorted(folder.iterdir()) == [encoded, described]
    other = content(parallel(tmp_path, [("Ein Hund rennt.", "A cat runs."), *TRAIN[1:]]))
    assert other != first
    assert content(parallel(tmp_path, TRAIN, segmentation=Word(2, True))) != first
    (tmp_path / "no").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "no"))
    assert content(parallel(tmp_path, TRAIN)) == first


def test_joins_of_consecutive_pairs_by_hand(tmp_path: Path) -> None:
    lines = [(f"a{i} b", f"c{i}") for i in range(7)]
    task = parallel(tmp_path, lines, lines[:5], lines[:6], longest=4, concatenate=3)

    def read(examples: Iterable[Example]) -> Counter[tuple[str, str]]:
        return Counter(
            (task.source_vocabulary.write(e.source), task.target_vocabulary.write(e.target)) for e in examples
        )

    twos = [(f"a{i} b a{i + 1} b", f"c{i} c{i + 1}") for i in (0, 2, 4)]
    threes = [(f"a{i} b a{i + 1} b a{i + 2} b", f"c{i} c{i + 1} c{i + 2}") for i in (0, 3)]
    trained = islice(task.training(np.random.default_rng(1), lambda: 4), 10)
    assert read(trained) == Counter([*lines, *twos])  # a join of three has six words, more than `longest`
    assert read(task.validation()) == Counter([*lines[:5], *twos[:2]])
    assert read(task.test()) == Counter([*lines[:6], *twos, *threes])
    assert [e.reference for e in task.test()][-1] == "c3 c4 c5"
    assert (task.lengths, task.test()[-1].units) == ((2, 4), 6)
    assert task.notes()[-1] == (
        "joins of 2 to 3 consecutive pairs besides: train 3, validation 2 (those of at most task.longest=4 tokens), "
        "test 5 (all)"
    )
    assert task.notes()[0].startswith("train: 7 pairs")


def test_a_pair_without_words_is_not_joined(tmp_path: Path) -> None:
    task = parallel(tmp_path, [("a", "x"), ("b", " "), ("c", "y"), ("d", "z")], concatenate=2)
    sources = {
        task.source_vocabulary.write(e.source) for e in islice(task.training(np.random.default_rng(1), lambda: 9), 4)
    }
    assert sources == {"a", "c", "d", "a c"}


def test_buckets_of_joins_have_steps_of_ten(tmp_path: Path) -> None:
    test = of_lengths(*[7] * 60, *[9] * 120, *[8] * 60)
    task = parallel(tmp_path, TRAIN, test=test, concatenate=5)
    assert task.buckets == ((1, 10), (11, 20), (21, 30), (31, 40), (41, 45))
    assert all(sum(low <= e.length <= high for e in task.test()) >= FEWEST for low, high in task.buckets)


def test_lengths_count_words_for_any_tokenization(tmp_path: Path) -> None:
    one, other = (parallel(tmp_path, TRAIN, segmentation=kind) for kind in (Word(1, True), Bpe(300, True, True)))
    assert [e.units for e in one.test()] == [e.units for e in other.test()] == [4]
    assert len(other.test()[0].source) > 4
    assert one.buckets == other.buckets
    assert one.trained == one.lengths[1] == other.trained == 6 < other.lengths[1]


def test_text_from_the_hub_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    from datasets import Dataset, DatasetDict

    data = {"de": ["Ein Hund", None], "en": ["A dog", "lost"]}
    sides = {"train": data, "validation": {"de": ["Ein"], "en": ["A"]}, "test": {"de": ["Hund"], "en": ["dog"]}}
    splits = DatasetDict({name: Dataset.from_dict(columns) for name, columns in sides.items()})
    monkeypatch.setattr("softlookup.task.hub.hub_unreachable", lambda: None)
    monkeypatch.setattr("datasets.load_dataset", lambda name: splits if name == "bentrevett/multi30k" else None)
    task = Parallel(None, "bentrevett/multi30k", None, "de", "en", Word(1, True), 50, 1, None, None)
    assert task.source_vocabulary.tokens[4:] == ("ein", "hund")
    assert task.notes()[0].endswith("1 with a side without words")
    assert task.test() == [Example((5,), (5,), reference="dog", units=1)]


def test_keys_without_effect_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"task\.path=.* task\.dataset=x/y: text comes from one place"):
        parallel(tmp_path, TRAIN, dataset="x/y")
    with pytest.raises(UserError, match=r"task\.columns=de en names the columns of TSV files of task\.path=DIR"):
        Parallel(None, None, "de en", "de", "en", Word(1, True), 50, 1, None, None)
    with pytest.raises(UserError, match=r"no news\.de .* task\.test=NAME"):
        Parallel(str(tmp_path), None, None, "de", "en", Word(1, True), 50, 1, None, None, test="news")


def test_quantiles_are_of_the_training_lengths(tmp_path: Path) -> None:
    task = parallel(tmp_path, of_lengths(2, 3, 5, 7, 11))
    assert [task.quantile(share) for share in (0.0, 0.2, 0.21, 0.6, 1.0)] == [2, 2, 3, 5, 11]
