"""src/translate.py: one output line per input line, errors of single lines, links, and orientation of pictures."""

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import used_runs
from choices import SOURCES, TARGETS, build_seq2seq, node
from PIL import Image

import translate as verb
from softlookup.config.build import build
from softlookup.errors import UserError
from softlookup.heatmaps import png
from softlookup.inference import translate_command
from softlookup.inference.search_overrides import search_of
from softlookup.inference.trained_run import load
from softlookup.inference.translator import LONGEST, Lookup, Translator
from softlookup.search.search import Hypothesis
from softlookup.segmentation.bpe import Bpe
from softlookup.system import entry_point
from softlookup.task.grammar import Grammar
from softlookup.text import utf8_lines
from softlookup.text.normalize_line import Form
from softlookup.text.vocabulary import EOS, UNK, UNKNOWN, Vocabulary, WordVocabulary

SCRIPT = Path(__file__).parents[1] / "src" / "translate.py"


def call(stdin: bytes, *arguments: str) -> list[str]:
    """Run the command in this process; return its output lines."""
    out = io.BytesIO()
    translate_command.Command(translate_command.Request(**verb.parsed(list(arguments))), out).run(io.BytesIO(stdin))
    return out.getvalue().decode().split("\n")


def test_one_line_per_input_line_in_order_for_any_batch_size(runs: dict[str, Path]) -> None:
    stdin = b"a b c\n\nc\r\n  \nb c a b\n<pad> \xe2\x80\xa8 \xf0\x9f\x98\x80\nc c"
    one, many = (call(stdin, f"run={runs['additive']}", f"batch={size}", "alignment=true") for size in (1, 64))
    assert one == many
    assert len(one) == 7 + 1
    assert (one[1], one[3]) == ("\t", "\t")  # the same number of columns as other lines
    assert one[0] == call(b"", f"run={runs['additive']}", "text=a b c", "alignment=true")[0]
    for line, source in ((one[0], 3), (one[2], 1), (one[4], 4)):
        text, links = line.split("\t")
        found = [tuple(map(int, link.split("-"))) for link in links.split()]
        assert len(found) == len({t for _, t in found}) == len(text.split())
        assert all(0 <= s < source for s, _ in found)


class Several:
    """A search whose hypotheses are the source, the reversed source, and nothing."""

    def check(self, _: Any) -> None:
        """Accept any model."""

    def __call__(self, _: Any, source: Any, *__: Any) -> list[list[Hypothesis]]:
        rows = [[i for i in row if i > EOS] for row in source.tolist()]
        return [
            [self._one([*row, EOS], -1.25), self._one([*row[::-1], EOS], -2.5), self._one([], -3.0)] for row in rows
        ]

    def _one(self, ids: list[int], score: float) -> Hypothesis:
        weights = np.eye(len(ids), max(len(ids), 1))
        return Hypothesis(ids, 2 * score, score, weights)


def test_several_translations_are_written_with_line_number_and_score(
    runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(translate_command, "search_of", lambda *_: Several())
    words_of_call = [f"run={runs['additive']}", "n_best=2"]
    assert call(b"a b\n\nc\n", *words_of_call) == [
        "1\t-1.2500\ta b", "1\t-2.5000\tb a", "2\t0.0000\t", "3\t-1.2500\tc", "3\t-2.5000\tc", ""
    ]  # fmt: skip
    assert call(b"a b\n", *words_of_call, "alignment=true")[:2] == [
        "1\t-1.2500\ta b\t0-0 1-1",
        "1\t-2.5000\tb a\t0-0 1-1",
    ]


@pytest.mark.parametrize("choice", ["word", "bpe"])
def test_surrounding_spaces_and_decomposed_accents_make_no_difference(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, choice: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    pairs = [("Ein M\u00e4dchen l\u00e4uft.", "A girl runs.")] * 2
    learn = build(node("segmentation", choice, vocabulary_size=300, minimum_frequency=1)).learn
    source = learn(pairs, ("de", "en"), 50)[0]
    monkeypatch.setattr(translate_command, "search_of", lambda *_: Several())
    lines = ["ein m\u00e4dchen l\u00e4uft", " ein ma\u0308dchen la\u0308uft\t\u00a0", " \t\u00a0", ""]
    plain, typed, *blank = forced(monkeypatch, [used_runs.known(source, source, None)], lines)
    assert plain == typed != ""
    assert blank == ["", ""]


def test_line_breaks_and_tabs_in_pieces_are_written_as_spaces(
    runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(translate_command, "search_of", lambda *_: Several())
    monkeypatch.setattr(Vocabulary, "write", lambda *_: "x\ny\tz\r")
    assert call(b"a\n", f"run={runs['additive']}") == ["x y z ", ""]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["alignment=true"], "run=RUN is missing"),
        (["run=x", "alignement=true"], "did you mean alignment"),
        (["run=x", "alignment=yes"], "alignment=yes: expected true or false"),
        (["run=x", "n_best=0"], "n_best=0: expected a whole number from 1"),
        (["run=x", "batch=1e5"], "batch=1e5: expected a whole number from 1 to 10,000"),
        (["run=x", "plot=a.jpg"], "expected a name that ends with .png or .html"),
        (["run=x", "plot=/no/such/a.png"], "there is no folder /no/such"),
        (["run=x", "reverse=y"], "give target=FILE"),
        (["run=x", "gold=y"], "give target=FILE"),
        (["run=x", "target=y", "symmetrize=union"], "reverse=RUN"),
        (["run=x", "target=y", "reverse=z", "symmetrize=grow"], "grow_diag_final_and"),
        (["run=x", "target=y", "n_best=3"], "nothing to search"),
        (["run=x", "device=gpu"], "device=gpu: did you mean cpu"),
        (["run=x", "weights=a.csv"], r"weights=a.csv: expected a name that ends with .npz or .jsonl"),
        (["run=x", "weights=/no/such/a.npz"], "there is no folder /no/such"),
        (["run=x", "target=y", "replace_unknown=true"], "nothing unknown to replace"),
    ],
)
def test_a_command_line_mistake_is_reported_before_input_is_read(words: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        verb.parsed(words)


def test_a_fixed_context_has_no_alignment_and_options_that_need_one_are_rejected(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    fixed = f"run={runs['fixed_mean']}"
    (tmp_path / "target").write_text("a\n")
    files = [
        f"{key}={tmp_path / name}" for key, name in (("plot", "a.png"), ("target", "target"), ("weights", "w.npz"))
    ]
    for words_of_call in ("alignment=true", "replace_unknown=true", *files):
        with pytest.raises(UserError, match=r"attention=fixed_mean reads one fixed context .* no alignment to"):
            call(b"a\n", fixed, words_of_call)
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
    assert len(call(b"a\n", fixed)) == 2


BROKEN = {
    b"\xff": "error: standard input, line 3: byte 1 of the line (offset 4 of the text) is not UTF-8",
    b"a\0b": "error: standard input, line 3: byte 2 is NUL",
    b"a "
    * (LONGEST + 1): "error: standard input, line 3: 2,001 tokens, at most 2,000 are possible; split it; left empty",
    b"a" * (utf8_lines.LONGEST + 1): "error: standard input, line 3: longer than 1,000,000 bytes",
}


@pytest.mark.parametrize("broken", BROKEN, ids=["no UTF-8", "NUL", "tokens", "bytes"])
@pytest.mark.parametrize("batch", [2, 64])
def test_an_invalid_line_affects_no_other_line(
    runs: dict[str, Path], broken: bytes, batch: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run = f"run={runs['additive']}"
    before = call(b"a\nb\n\nc\n", run, "alignment=true", f"batch={batch}")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\nb\n" + broken + b"\nc\n")))
    assert entry_point.code(verb.main, "", [run, "alignment=true", f"batch={batch}"]) == 3
    written, error_output = capfd.readouterr()
    assert written.split("\n") == before
    assert error_output.startswith(BROKEN[broken])
    assert error_output.count("\n") == 1


def test_an_invalid_line_has_no_score_and_no_links(runs: dict[str, Path]) -> None:
    """An empty line is valid: it has a score and an empty list of links."""
    found = call(b"\xff\n\n", f"run={runs['additive']}", "alignment=true", "n_best=2", "search=beam")
    assert found == ["1\t\t\t", "2\t0.0000\t\t", ""]


def test_an_invalid_pair_is_left_out_of_the_alignment_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "target").write_bytes(b"the house\nthe \xff\nis red\n")
    (tmp_path / "gold").write_text("0-0 1-1\n0-0 1-1\n0-1 1-0\n")
    model = used_runs.known(SOURCE, TARGET, lambda _, t: (0, 1, 1)[t])
    options = {"target": tmp_path / "target", "gold": tmp_path / "gold"}
    assert forced(monkeypatch, [model], ["das haus", "das haus", "ist rot"], **options) == ["0-0 1-1", "", "0-0 1-1"]
    error_output = capsys.readouterr().err.splitlines()
    assert error_output[0].startswith(f"error: {tmp_path / 'target'}, line 2: byte 5 of the line")
    assert error_output[1].startswith("AER 50.00 % against")  # 2 of 4, not 4 of 6
    assert "(2 pairs, 4 links, 4 sure; without 1 that could not be used)" in error_output[1]


def test_a_long_line_is_translated_in_its_own_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = []

    class Watched(Several):
        def __call__(self, model: Any, source: Any, *rest: Any) -> list[list[Hypothesis]]:
            shapes.append(tuple(source.shape))
            return super().__call__(model, source, *rest)

    monkeypatch.setattr(translate_command, "search_of", lambda *_: Watched())
    lines = ["das " * 31, "rot " * 997, *["ist"] * 50, ""]
    found = forced(monkeypatch, [used_runs.known(SOURCE, SOURCE, None)], lines, batch=64)
    assert found == [line.strip() for line in lines]
    assert sorted(shapes) == [(1, 998), (51, 32)]


def forced(monkeypatch: pytest.MonkeyPatch, models: list[Any], lines: list[str], **options: Any) -> list[str]:
    """Run the command with the given models; return its output lines."""
    remaining = iter(models)
    monkeypatch.setattr(translate_command, "find", lambda run, *_: run)
    monkeypatch.setattr(translate_command, "load", lambda *_: next(remaining))
    out = io.BytesIO()
    translate_command.Command(translate_command.Request(**{"run": "known", "batch": 5, **options}), out).run(
        io.BytesIO("".join(f"{line}\n" for line in lines).encode())
    )
    return out.getvalue().decode().split("\n")[:-1]


def test_forced_alignment_against_gold_of_the_grammar(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The model puts all weight on its first gold position: all links are possible, and some sure ones are missing."""
    task = Grammar(longest=12)
    examples = task.test()[:83]
    by_source = {example.source: example for example in examples}

    def row(example: Any, t: int) -> int | None:
        gold_example = by_source.get(example.source)
        places = gold_example.possible[t] if gold_example and t < len(gold_example.target) else ()
        return min(places) if places else None

    links = [{(min(p), t) for t, p in enumerate(e.possible) if p} for e in examples]
    sure = [{(s, t) for t, places in enumerate(e.sure) for s in places} for e in examples]
    possible = [{(s, t) for t, places in enumerate(e.possible) for s in places} for e in examples]
    lines = [" ".join(task.source_vocabulary.decode(e.source)) for e in examples]
    (tmp_path / "target").write_text("".join(f"{e.reference}\n" for e in examples))
    (tmp_path / "gold").write_text(
        "".join(
            " ".join(f"{s}{'-' if (s, t) in sure_links else '?'}{t}" for s, t in all_) + "\n"
            for sure_links, all_ in zip(sure, possible, strict=True)
        )
    )
    model = used_runs.known(task.source_vocabulary, task.target_vocabulary, row)
    found = forced(monkeypatch, [model], lines, target=tmp_path / "target", gold=tmp_path / "gold")
    assert [{tuple(map(int, link.split("-"))) for link in line.split()} for line in found] == links
    hits = sum(len(a & s) + len(a) for a, s in zip(links, sure, strict=True))
    expected = 1 - hits / sum(len(a) + len(s) for a, s in zip(links, sure, strict=True))
    assert 0 < expected < 0.5
    assert f"AER {100 * expected:.2f} % against" in capsys.readouterr().err


SOURCE = Vocabulary(["das", "haus", "ist", "rot", "heute"])
TARGET = Vocabulary(["the", "house", "is", "red"])


def test_two_directions_are_symmetrized(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "target").write_text("the house red\n\n")
    forward = used_runs.known(SOURCE, TARGET, lambda _, t: (0, 1, 1, 0)[t])
    backward = used_runs.known(TARGET, SOURCE, lambda _, t: (0, 1, 1, 2, 0)[t])
    for rule, expected in (("intersection", "0-0 1-1"), ("union", "0-0 1-1 1-2 2-1 3-2")):
        options = {"target": tmp_path / "target", "reverse": "back", "symmetrize": rule}
        assert forced(monkeypatch, [forward, backward], ["das haus ist rot", ""], **options) == [expected, ""]


def test_unequal_numbers_of_lines_are_rejected(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "target").write_text("the\nred\n")
    model = used_runs.known(SOURCE, TARGET, lambda *_: 0)
    with pytest.raises(UserError, match="target ends after line 2, and standard input is longer"):
        forced(monkeypatch, [model], ["das"] * 3, target=tmp_path / "target")
    with pytest.raises(UserError, match=r"standard input ends after line 1, and .*target is longer"):
        forced(monkeypatch, [model], ["das"], target=tmp_path / "target")
    (tmp_path / "gold").write_text("0-0\n")
    with pytest.raises(UserError, match="links of 1 pairs, and 2 pairs were given"):
        forced(monkeypatch, [model], ["das"] * 2, target=tmp_path / "target", gold=tmp_path / "gold")
    with pytest.raises(UserError, match=r"target=.*gone cannot be read"):
        forced(monkeypatch, [model], ["das"] * 2, target=tmp_path / "gone")


def test_two_runs_of_the_same_direction_are_rejected() -> None:
    one = used_runs.known(SOURCE, TARGET, None)
    one.config.parts["task"].update(source="de", target="en")
    with pytest.raises(UserError, match="translates de to en"):
        translate_command._require_reverse(one, one)


def lookup() -> Lookup:
    """Return a lookup of 5 source and 3 target tokens; the last target token puts all weight on the first source."""
    weights, gold = np.zeros((3, 5)), np.zeros((3, 5), dtype=bool)
    weights[2, 0], gold[1, 4] = 1.0, True
    return Lookup(weights, gold, ["ich", "habe", "<b>es</b>", "ge&sehen", "</s>"], ["I", "saw", "</s>"])


def test_a_picture_of_several_sentences_has_that_of_each() -> None:
    other = Lookup(np.eye(2, 7), np.zeros((2, 7), dtype=bool), list("abcdefg"), ["x", "y"])
    named = [("line 1", lookup()), ("line 4", other)] * 2
    whole = np.asarray(png.picture(named)[0])
    singles = [np.asarray(png.picture([one])[0]) for one in named]
    heights, widths = zip(*(one.shape[:2] for one in singles), strict=True)
    # Three are in the first row, one in the second; each begins at the upper left corner of its place.
    second = max(widths[0], widths[3])
    lefts, tops = [0, second, second + widths[1], 0], [0, 0, 0, max(heights[:3])]
    for one, left, top in zip(singles, lefts, tops, strict=True):
        assert np.array_equal(whole[top : top + one.shape[0], left : left + one.shape[1]], one)
    assert whole.shape[:2] == (tops[3] + heights[3], lefts[2] + widths[2])


def test_many_long_sentences_give_a_picture_of_bounded_size() -> None:
    words = ["w"] * 47
    long = Lookup(np.full((47, 47), 0.5), np.zeros((47, 47), dtype=bool), words, words)
    width, height = png.picture([("", long)] * 4)[0].size
    assert (width, height) == pytest.approx((10 * 120, 40 * 120), rel=0.1)


@pytest.mark.parametrize("name", ["a.png", "a.html"])
def test_a_picture_has_only_the_lines_with_words(runs: dict[str, Path], tmp_path: Path, name: str) -> None:
    call(b"a b\n\n" + b"c\n" * 20, f"run={runs['additive']}", f"plot={tmp_path / name}", "batch=3")
    if name.endswith("png"):
        with Image.open(tmp_path / name) as image:
            assert image.format == "PNG"
    else:
        assert (tmp_path / name).read_text().count('"title":"line ') == translate_command.DRAWN
    with pytest.raises(UserError, match="nothing to draw"):
        call(b"\n", f"run={runs['additive']}", f"plot={tmp_path / 'none.png'}")
    assert not (tmp_path / "none.png").exists()


def test_the_command_runs_from_another_folder_in_an_ascii_terminal(runs: dict[str, Path], tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    run = Path(os.path.relpath(runs["additive"], tmp_path))
    shell = f"echo 'a b ü' | {sys.executable} {SCRIPT} run={run} alignment=true plot=x.png"
    done = subprocess.run(shell, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert "\t" in done.stdout
    assert done.stderr == "drawn: x.png\n"
    assert (tmp_path / "x.png").stat().st_size > 1000
    shell = f"yes a | {sys.executable} {SCRIPT} run={run} | head -2; echo ${{PIPESTATUS[1]}}"
    done = subprocess.run(
        ["bash", "-c", shell], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert (len(done.stdout.split("\n")), done.stdout.split("\n")[2], done.stderr) == (4, "141", "")


@pytest.mark.parametrize("argument", ["run=nonsense", "run=/dev/null", "nonsense"])
def test_mistakes_exit_with_2_and_one_line(
    argument: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert entry_point.code(verb.main, "", [argument]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_forced_log_probability_equals_that_of_the_search(runs: dict[str, Path]) -> None:
    """The log-probability of a translation is the same from the search and from forcing, alone or in a batch."""
    trained = load(runs["additive"])
    translator = Translator(trained, search_of(trained.config, {}), torch.device("cpu"))
    ((found,), (other,)) = translator.translate(["a b c", "c"], align=True)
    together = translator.align([("a b c", found.text), ("c", other.text), ("", "a")])
    ended = [len(one.lookup.target) if one.lookup else 0 for one in (found, other)]
    for one, again, length in zip((found, other), together, ended, strict=False):
        if one.lookup and one.lookup.target[-1] == "</s>" and length > 1:
            assert again.log_probability == pytest.approx(one.log_probability, abs=1e-5)
            assert again.links == one.links
    assert together[2].links == frozenset()


@pytest.mark.parametrize("heads", [None, 2])
@pytest.mark.parametrize("decoder", ["bahdanau", "transformer"])
def test_weights_of_every_line_are_written_with_its_tokens(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, decoder: str, heads: int | None
) -> None:
    model = build_seq2seq("gru", (decoder, {}), "general", heads)
    assert model is not None
    words = [Vocabulary([f"{side}{i}" for i in range(size - 4)]) for side, size in (("s", SOURCES), ("t", TARGETS))]
    trained = used_runs.around(model, *words)
    files = {kind: tmp_path / f"w.{kind}" for kind in ("npz", "jsonl")}
    found = {}
    for file in files.values():
        lines = ["s0 s1 s2", "", "s5 unheard", "s9 " * 7]
        found[file] = forced(
            monkeypatch, [trained], lines, weights=file, n_best=2, search={"search": "beam", "search.n_best": "2"}
        )
    assert found[files["npz"]] == found[files["jsonl"]]
    with np.load(files["npz"], allow_pickle=False) as archive:
        arrays = dict(archive)
    assert {name.rpartition("_")[2] for name in arrays} == {"1", "3", "4"}
    best = {line.split("\t")[0]: line.split("\t")[2] for line in reversed(found[files["npz"]])}
    for number, source in (("1", ["s0", "s1", "s2"]), ("3", ["s5", "<unk>"]), ("4", ["s9"] * 7)):
        assert arrays[f"source_{number}"].tolist() == [*source, "</s>"]
        target = [token for token in arrays[f"target_{number}"].tolist() if token != "</s>"]
        assert " ".join(target).replace("<unk>", UNKNOWN) == best[number]
        shape = (len(arrays[f"target_{number}"]), len(source) + 1)
        assert arrays[f"weights_{number}"].shape == shape
        assert (f"heads_{number}" in arrays) is (heads is not None)
        if heads:
            assert arrays[f"heads_{number}"].shape == (heads, *shape)
            assert np.abs(arrays[f"heads_{number}"].mean(0) - arrays[f"weights_{number}"]).max() < 1e-6


def test_weights_and_copied_source_words_from_the_command_line(runs: dict[str, Path], tmp_path: Path) -> None:
    options = [f"run={runs['additive']}", f"weights={tmp_path / 'w.npz'}", "replace_unknown=true"]
    (text, _) = call(b"a Xerxes b\n", *options)
    with np.load(tmp_path / "w.npz", allow_pickle=False) as archive:
        assert archive["source_1"].tolist() == ["a", "<unk>", "b", "</s>"]
        written = [token for token in archive["target_1"].tolist() if token != "</s>"]
        assert archive["weights_1"].shape == (len(archive["target_1"]), 4)
    assert UNKNOWN not in text
    assert [word for word, token in zip(text.split(), written, strict=True) if token != "<unk>"] == [
        token for token in written if token != "<unk>"
    ]


class Unknown(Several):
    """A search that copies the source with UNK for words 2 and 3, which attend to word 1 and to nothing."""

    def _one(self, ids: list[int], score: float) -> Hypothesis:
        weights = np.eye(len(ids), len(ids))
        if len(ids) > 3:
            weights[1] = np.eye(len(ids))[0]
            weights[2] = 0.0  # attends nowhere
        written = [UNK if t in (1, 2) and index != EOS else index for t, index in enumerate(ids)]
        return Hypothesis(written, 2 * score, score, weights)


def test_an_unknown_word_is_replaced_by_the_source_word_it_attends_to(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    vocabulary = WordVocabulary(["ein", "haus", ",", "rot"], Form(lowercase=True))
    monkeypatch.setattr(translate_command, "search_of", lambda *_: Unknown())
    model = used_runs.known(vocabulary, vocabulary, lambda *_: 0)
    lines = ["Z\u00fcrich, ein rot haus"]
    assert forced(monkeypatch, [model], lines) == [f"{UNKNOWN} {UNKNOWN} {UNKNOWN} rot haus"]
    # Word 1 is not in the vocabulary; word 2 attends to it; word 3 attends nowhere.
    copied = forced(monkeypatch, [model], lines, replace_unknown=True, alignment=True)
    assert copied == [f"z\u00fcrich z\u00fcrich {UNKNOWN} rot haus\t0-0 0-1 2-3 3-4"]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    subwords = Bpe(300, True, True).learn([("a", "b")], ("de", "en"), 5)[0]
    with pytest.raises(UserError, match="writes subwords, so no word is unknown"):
        forced(monkeypatch, [used_runs.known(subwords, subwords, lambda *_: 0)], lines, replace_unknown=True)


def test_an_input_of_mostly_unknown_words_is_reported_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(translate_command, "search_of", lambda *_: Several())
    forced(monkeypatch, [used_runs.known(SOURCE, TARGET, None)], ["das haus", "la casa", "la ist", "la e rot", ""])
    message = "warning: standard input: 2 of 5 lines are mostly unknown words (line 2: 2 of 2); is this what"
    assert capsys.readouterr().err.startswith(message)
    forced(monkeypatch, [used_runs.known(SOURCE, TARGET, None)], ["das haus", "ist", ""])
    assert capsys.readouterr().err == ""
