"""Contract tests of every segmentation in conf/segmentation/: round trips, ids of special tokens, reproducibility."""

import gzip
import io
import json
import os
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from choices import OFFERED, node
from hypothesis import example, given, settings
from hypothesis import strategies as st

from softlookup.config.build import build
from softlookup.contract import Segmentation
from softlookup.errors import UserError
from softlookup.system import content_cache
from softlookup.text.normalize_line import Form
from softlookup.text.vocabulary import (
    BOS,
    EOS,
    PAD,
    SPECIALS,
    UNK,
    UNKNOWN,
    SubwordVocabulary,
    Vocabulary,
    WordVocabulary,
    restored,
)

PAIRS = [
    ("Ein Hund rennt über die Wiese.", "A dog runs across the meadow."),
    ("Zwei Hunde rennen über eine Straße.", "Two dogs run across a street."),
    ("Ein Mann schläft.", "A man sleeps."),
] * 3
NAMES = ("train.de", "train.en")
SUBWORDS = [choice for choice in OFFERED["segmentation"] if choice != "word"]
SIZE = 311
ODD = (
    "\u2028\u2029\x85\x0b\x0c\x1c\x00\r\t  \xa0\ufeff\u200b\u0301e\u0301\U0001f600👩‍👩‍👧"
    "\"'‘’„“»«0123456789▁Ġ\\<pad></s>İßΣς"
)
TEXT = st.text(st.one_of(st.sampled_from(ODD), st.characters(codec="utf-8", exclude_characters="\n")), max_size=23)
MULTI30K = os.environ.get("MULTI30K_DIR")


@pytest.fixture(autouse=True, scope="module")
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield content_cache.folder()


def segmentation(choice: str, **changed: object) -> Segmentation:
    return build(node("segmentation", choice, vocabulary_size=SIZE, minimum_frequency=1, **changed))


@pytest.fixture(params=OFFERED["segmentation"], scope="module")
def vocabulary(request: pytest.FixtureRequest) -> Vocabulary:
    """Learn the cased target vocabulary of every choice."""
    return segmentation(request.param, joint=True, lowercase=False).learn(PAIRS, NAMES, 50)[1]


@pytest.fixture(params=SUBWORDS, scope="module")
def subwords(request: pytest.FixtureRequest) -> dict[bool, SubwordVocabulary]:
    """Learn subword vocabularies, by whether they lowercase."""
    return {
        case: segmentation(request.param, joint=True, lowercase=case).learn(PAIRS, NAMES, 50)[0]
        for case in (True, False)
    }


def test_special_tokens_come_first_and_are_never_read(vocabulary: Vocabulary) -> None:
    assert vocabulary.tokens[:4] == SPECIALS
    assert len(vocabulary) == len(vocabulary.tokens) == len(set(vocabulary.tokens))
    ids = vocabulary.read("<pad> <s> </s> <unk> Ein")
    assert ids
    assert not {PAD, BOS, EOS} & {*ids}
    assert max(ids) < len(vocabulary)
    assert vocabulary.read("") == ()


def test_writing_stops_at_the_first_eos(vocabulary: Vocabulary) -> None:
    dog = vocabulary.read("A dog")
    assert vocabulary.write([BOS, *dog, PAD, EOS, *dog]) == vocabulary.write(dog) == "A dog"
    assert UNKNOWN in vocabulary.write([*dog, UNK])
    assert vocabulary.write([]) == vocabulary.write([EOS]) == ""


def test_encode_inverts_decode(vocabulary: Vocabulary) -> None:
    ids = list(range(len(SPECIALS), len(vocabulary)))
    assert list(vocabulary.encode(vocabulary.decode(ids))) == ids


def test_a_vocabulary_is_restored_from_its_json_state(vocabulary: Vocabulary) -> None:
    again = restored(json.loads(json.dumps(vocabulary.state())))
    assert (type(again), again.tokens, again.state()) == (type(vocabulary), vocabulary.tokens, vocabulary.state())
    line = "A dog, <unk> and a  Straße"
    assert again.read(line) == vocabulary.read(line)
    assert again.write(again.read(line)) == vocabulary.write(vocabulary.read(line))


@pytest.mark.parametrize(
    "state",
    [
        None,
        {},
        {"kind": "other"},
        {"kind": "subwords", "model": {}, "lowercase": True, "unicode": "nfc"},
        {"kind": "tokens"},
    ],
)
def test_a_damaged_state_is_rejected(state: object) -> None:
    with pytest.raises(UserError, match="not a vocabulary: "):
        restored(state)


def test_a_lone_surrogate_is_rejected(vocabulary: Vocabulary) -> None:
    with pytest.raises(UserError, match="character 3 is half a character"):
        vocabulary.read("ab\ud800")


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(text=TEXT)
@example("  two  blanks  ")
@example("<pad> <s> </s> <unk> <0x41>")
@example("é 한국어 🏴󠁧󠁢󠁥󠁮󠁧󠁿\u2028x")
def test_subwords_round_trip_any_text(subwords: dict[bool, SubwordVocabulary], text: str) -> None:
    line = unicodedata.normalize("NFC", text.strip())
    assert subwords[False].write(subwords[False].read(text)) == line
    assert subwords[True].write(subwords[True].read(text)) == unicodedata.normalize("NFC", line.lower())
    assert UNK not in subwords[True].read(text)


@pytest.mark.skipif(not MULTI30K, reason="MULTI30K_DIR does not point at a folder of Multi30k")
def test_subwords_round_trip_real_lines(subwords: dict[bool, SubwordVocabulary]) -> None:
    for name in ("test_2016_flickr.de.gz", "test_2016_flickr.en.gz"):
        for line in gzip.decompress((Path(str(MULTI30K)) / name).read_bytes()).decode().split("\n"):
            assert subwords[False].write(subwords[False].read(line)) == line
            assert subwords[True].write(subwords[True].read(line)) == line.lower()


@pytest.mark.parametrize("choice", OFFERED["segmentation"])
def test_equivalent_spellings_of_a_line_are_read_the_same(choice: str) -> None:
    """Surrounding spaces and decomposed accents make no difference, neither in learning nor in reading."""
    typed = [(f" {unicodedata.normalize('NFD', one)}\u2003", f"\t{other} ") for one, other in PAIRS]
    learnt, again = (segmentation(choice, joint=False).learn(pairs, NAMES, 50)[0] for pairs in (PAIRS, typed))
    assert again.state() == learnt.state()
    for (line, _), (other, _) in zip(PAIRS, typed, strict=True):
        assert learnt.read(other) == learnt.read(line) != ()
        assert learnt.tidied(other) == line
    assert learnt.read(" \t\u00a0 ") == learnt.cut("") == ()
    assert (
        learnt.read("J\u030c") == learnt.read("j\u030c") == learnt.read("\u01f0")
    )  # only the lower-case letter has a composed form


@pytest.mark.parametrize("choice", OFFERED["segmentation"])
def test_unicode_none_keeps_characters_as_they_are(choice: str) -> None:
    split = ("U\u0308ber", "u\u0308ber")
    vocabulary = segmentation(choice, joint=True, unicode="none", lowercase=False).learn(
        [*PAIRS, split, split], NAMES, 50
    )[1]
    ids = vocabulary.read(f" {split[1]} ")
    assert vocabulary.write(ids) == split[1]
    assert ids != vocabulary.read("\u00fcber")
    again = restored(json.loads(json.dumps(vocabulary.state())))
    assert again.read(split[1]) == ids
    with pytest.raises(UserError, match=r"segmentation\.unicode=nfd: did you mean nfc"):
        segmentation(choice, unicode="nfd")


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(ids=st.lists(st.integers(0, SIZE - 60), max_size=19))
def test_any_ids_are_written_as_valid_text(subwords: dict[bool, SubwordVocabulary], ids: list[int]) -> None:
    subwords[False].write(ids).encode()


def test_spelled_equals_writing_what_was_read(vocabulary: Vocabulary, subwords: dict) -> None:
    for text in ("A dog runs across the meadow.", "Two dogs."):
        assert vocabulary.write(vocabulary.read(text)) == vocabulary.spelled(text)
    assert subwords[True].spelled(" A Dog. ") == "a dog."
    # Unknown words keep their letters and are spaced like known words.
    assert WordVocabulary(["dog", "."], Form(lowercase=True)).spelled("My Dog.") == "my dog ."
    assert Vocabulary(["dog"]).spelled("My  dog") == "My dog"


def test_a_word_has_the_same_pieces_at_every_position(subwords: dict[bool, SubwordVocabulary]) -> None:
    alone, twice = (subwords[False].read(text) for text in ("Hund", "Hund Hund"))
    assert alone * 2 == twice
    assert subwords[False].decode(alone)[0][0] == "▁"


def test_labels_are_printable_and_distinct(subwords: dict[bool, SubwordVocabulary]) -> None:
    labels = {subwords[False].decode(subwords[False].cut(text))[-1] for text in ("\x85", "\\", "▁", "\U000e0001")}
    assert labels >= {"\\\\"}
    assert all(label.isprintable() for label in subwords[False].tokens)
    assert {"▁", "\\xc3", "a"} <= {*subwords[False].tokens}


@pytest.mark.parametrize("choice", SUBWORDS)
def test_vocabulary_sizes_and_joint_vocabularies(choice: str) -> None:
    source, target = segmentation(choice, joint=True).learn(PAIRS, NAMES, 50)
    assert source is target
    assert len(SPECIALS) + 256 < len(source) <= SIZE
    source, target = segmentation(choice, joint=False).learn(PAIRS, NAMES, 50)
    assert source.tokens != target.tokens
    assert max(len(source), len(target)) <= SIZE
    least = build(node("segmentation", choice, vocabulary_size=260)).learn(PAIRS, NAMES, 50)[0]
    assert len(least) == 260
    assert least.write(least.read("ein hund")) == "ein hund"
    with pytest.raises(UserError, match=r"segmentation\.vocabulary_size=259: expected at least 260"):
        build(node("segmentation", choice, vocabulary_size=259))
    with pytest.raises(UserError, match=r"train\.en has no text"):
        segmentation(choice).learn([("a", "")], NAMES, 50)


TRAINED = """
from softlookup.segmentation.bpe import Bpe
from softlookup.segmentation.unigram import Unigram
text = [(f"Zeile {i} mit {i * i} Wörtern", f"line {i} of {i + 7} words") for i in range(97)]
for kind in (Bpe, Unigram):
    for joint in (True, False):
        print([vocabulary.state() for vocabulary in kind(401, joint, True).learn(text, ("de", "en"), 50)])
"""


def test_the_same_text_gives_the_same_vocabulary_in_any_process(tmp_path: Path) -> None:
    """Different hash seeds and thread counts, and two processes at once with one cache."""
    runs = []
    for threads in ("1", "4"):
        environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "RAYON_NUM_THREADS": threads}
        environment |= {"PYTHONHASHSEED": threads, "TOKENIZERS_PARALLELISM": "true"}
        command = [sys.executable, "-c", TRAINED]
        runs.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
    one, other = (run.communicate()[0] for run in runs)
    assert [run.returncode for run in runs] == [0, 0]
    assert one == other != ""
    # And in this process, with an empty cache.
    states = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(states):
        patch.setenv("XDG_CACHE_HOME", str(tmp_path / "none"))
        exec(TRAINED)
    assert states.getvalue() == one


@pytest.mark.parametrize("choice", SUBWORDS)
def test_a_damaged_cache_is_rebuilt(choice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    expected = segmentation(choice, joint=True).learn(PAIRS, NAMES, 50)[0].state()
    (file,) = (tmp_path / "softlookup" / "segmentation").iterdir()
    whole = file.read_bytes()
    for damaged in (whole[:-1], b"", whole.replace(b"a", b"b", 1), b"{}"):
        file.write_bytes(damaged)
        assert segmentation(choice, joint=True).learn(PAIRS, NAMES, 50)[0].state() == expected
        assert file.read_bytes() == whole
    # An intact file is trusted: nothing is trained.
    monkeypatch.setattr(f"softlookup.segmentation.{choice}.{choice.title()}._trained", None)
    assert segmentation(choice, joint=True).learn(PAIRS, NAMES, 50)[0].state() == expected


def test_an_unwritable_cache_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert content_cache.kept("x/y.json", lambda: b"made") == b"made"
