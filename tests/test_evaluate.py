"""src/evaluate.py: a run on its own test set gives its own metrics; on other data, those of reference code."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import sacrebleu
import used_runs
import yaml

import evaluate as verb
from softlookup.config.resolve import composed, typed_keys
from softlookup.errors import UserError
from softlookup.evaluation.metrics import significance
from softlookup.inference.search_overrides import chosen
from softlookup.run import start
from softlookup.runs.inputs import with_inputs
from softlookup.runs.run_folder import RunFolder
from softlookup.system import entry_point

TINY = ["task=multi30k", "task.source=src", "task.target=tgt", "encoder.width=7", "decoder.width=14", "budget=2000"]
TINY += ["batch_tokens=200", "validations=1", "tracking=disabled", "device=cpu"]


@pytest.fixture(scope="module")
def text_runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Train three runs on a folder of text: one with heads and joins, two with plain pairs and gold."""
    place = tmp_path_factory.mktemp("text")
    found = {"text": used_runs.corpus(place / "text")}
    arguments = {
        "heads": ["attention=multi_head", "attention.heads=2", "task.concatenate=2"],
        "plain": ["attention=additive", f"task.alignment={found['text'] / 'links'}"],
        "dot": ["attention=dot", f"task.alignment={found['text'] / 'links'}"],
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(place / "cache"))
        for name, words in arguments.items():
            own = [*TINY, f"task.path={found['text']}", f"runs_dir={place / 'runs'}", *words]
            config = with_inputs(composed(own), typed_keys())
            start(config)
            found[name] = RunFolder.of(config).path
    return found


def evaluated(*words: str) -> dict[str, Any]:
    """Evaluate with a command line; return the row as it is written to a file."""
    return json.loads(row_of(*words)[0])


def row_of(*words: str) -> tuple[str, Path]:
    from softlookup.inference.evaluate_command import Request, evaluate
    from softlookup.runs.run_folder import json_of

    done = evaluate(Request(**verb.parsed(list(words))))
    return json_of(done.row).decode(), done.place


def figures(row: dict[str, Any]) -> dict[str, Any]:
    """Return everything that was measured on the test set."""
    metrics = {k: v for k, v in row["metrics"].items() if k.startswith("test/")}
    return {"metrics": metrics, "by_length": row["by_length"], "signatures": row["signatures"]}


def result_of(path: Path) -> dict[str, Any]:
    row = RunFolder(path).result()
    assert row is not None
    return row


@pytest.mark.parametrize("name", ["additive", "fixed_mean", "heads", "plain"])
def test_a_runs_own_test_set_gives_its_own_metrics(
    runs: dict[str, Path], text_runs: dict[str, Path], name: str
) -> None:
    path = (runs | text_runs)[name]
    row = evaluated(f"run={path}")
    assert figures(row) == figures(result_of(path))
    assert (row["run"], row["longest"], row["seed"]) == (path.name, result_of(path)["longest"], 1)
    assert name != "plain" or row["metrics"]["test/forced/aer"] < 1


def test_a_split_of_a_folder_and_files_are_read_as_in_training(text_runs: dict[str, Path]) -> None:
    text = text_runs["text"]
    for name in ("heads", "plain"):
        links = [f"alignment={text / 'links'}"] if name == "plain" else []
        row = evaluated(f"run={text_runs[name]}", f"path={text}", "split=test", *links)
        assert figures(row) == figures(result_of(text_runs[name]))
    row = evaluated(f"run={text_runs['plain']}", f"source={text / 'test.src'}", f"target={text / 'test.tgt'}")
    expected = figures(result_of(text_runs["plain"]))
    assert expected["metrics"].pop("test/forced/aer") > 0
    expected["metrics"]["test/forced/aer"] = None  # no links are given with the files
    for bucket in expected["by_length"]:
        bucket["forced/aer"] = None
    assert figures(row) == expected
    assert row["evaluated"]["source"] == str(text / "test.src")
    assert row["examples"] == 31
    by_name = evaluated(f"run={text_runs['plain']}", f"path={text}", "split=dev")
    usual = evaluated(f"run={text_runs['plain']}", f"path={text}", "split=validation")
    mine = evaluated(f"run={text_runs['plain']}", "split=validation")
    assert figures(by_name) == figures(usual) == figures(mine)
    assert by_name["data"] == usual["data"] != row["data"]


def test_another_search_is_used_and_recorded(text_runs: dict[str, Path]) -> None:
    row = evaluated(f"run={text_runs['plain']}", "search=beam", "search.size=3", "search.longest_extra=2")
    assert (row["search"]["size"], row["search"]["longest_extra"]) == (3, 2)
    assert figures(row)["metrics"].keys() == figures(result_of(text_runs["plain"]))["metrics"].keys()


def test_the_runs_own_search_keeps_its_settings() -> None:
    config = composed(["search=beam", "search.size=2", "search.longest_ratio=5"])
    assert chosen(config, {"search": "beam", "search.size": "4"}) == config.parts["search"] | {"size": 4}
    assert chosen(config, {"search": "greedy"}) == composed(["search=greedy"]).parts["search"]


def test_unjoined_pairs_are_another_test_set_for_a_run_with_joins(text_runs: dict[str, Path]) -> None:
    text = text_runs["text"]
    files = evaluated(f"run={text_runs['heads']}", f"source={text / 'test.src'}", f"target={text / 'test.tgt'}")
    folder = evaluated(f"run={text_runs['heads']}", f"path={text}")
    assert (files["evaluated"]["concatenate"], files["same_as"]) == (1, [])
    assert (folder["evaluated"]["concatenate"], folder["same_as"]) == (2, ["test"])
    assert files["examples"] != folder["examples"]
    assert files["evaluated"]["source"] == str(text / "test.src")


def test_several_references_are_scored_as_by_sacrebleu(text_runs: dict[str, Path], tmp_path: Path) -> None:
    """The second reference is the model's output: BLEU is 100, and measures of a single reference do not change."""
    from softlookup.inference import translate_command
    from translate import parsed

    text = text_runs["text"]
    out = tmp_path / "written, once"
    with (text / "test.src").open("rb") as stream, out.open("wb") as file:
        translate_command.Command(translate_command.Request(**parsed([f"run={text_runs['plain']}"])), file).run(stream)
    given = [f"run={text_runs['plain']}", f"source={text / 'test.src'}"]
    one = evaluated(*given, f"target={text / 'test.tgt'}")
    shutil.copy(out, tmp_path / "written")
    two = evaluated(*given, f"target={text / 'test.tgt'},{tmp_path / 'written'}")
    references = [(text / "test.tgt").read_text().splitlines(), out.read_text().splitlines()]
    assert two["metrics"]["test/bleu"] == sacrebleu.corpus_bleu(references[1], references, force=True).score
    assert two["metrics"]["test/chrf"] == pytest.approx(100)
    assert "nrefs:2|" in two["signatures"]["bleu"]
    assert "nrefs:1|" in one["signatures"]["bleu"]
    for name in ("token_accuracy", "exact_match", "forced/token_accuracy"):
        assert two["metrics"][f"test/{name}"] == one["metrics"][f"test/{name}"]
    assert two["by_length"][0]["bleu_low"] == pytest.approx(100)
    assert two["data"].keys() - one["data"].keys() == {"reference 2"}
    single = evaluated(*given, f"target={out}")  # a name with a comma
    assert single["metrics"]["test/bleu"] == pytest.approx(100)


def test_lengths_beyond_training_are_evaluated(runs: dict[str, Path]) -> None:
    row = evaluated(f"run={runs['additive']}", "lengths=3,17,29")
    assert [(r["low"], r["high"], r["count"]) for r in row["by_length"]] == [(3, 3, 64), (17, 17, 64), (29, 29, 64)]
    assert row["evaluated"] == {
        "kind": "lengths", "lengths": [3, 17, 29], "from the run's held-out examples": [3]
    }  # fmt: skip
    assert row["by_length"][0] == result_of(runs["additive"])["by_length"][0]
    again = evaluated(f"run={runs['additive']}", "lengths=29")
    assert again["by_length"] == row["by_length"][2:]
    assert all(0 <= r["token_accuracy"] <= 1 for r in row["by_length"])


def test_two_runs_are_compared_with_paired_tests(
    text_runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(significance, "TESTS", {"bootstrap": ("bs", 53), "randomization": ("ar", 59)})
    text = text_runs["text"]
    given = [f"source={text / 'test.src'}", f"target={text / 'test.tgt'}"]
    forward = evaluated(f"run={text_runs['plain']}", *given, f"against={text_runs['heads']}")
    back = evaluated(f"run={text_runs['heads']}", *given, f"against={text_runs['plain']}")
    assert forward["against"]["run"] == text_runs["heads"].name
    assert forward["against"]["tests"].keys() == {"bleu", "chrf", "bleu_lowercased", "chrf_lowercased"}
    for name, test in forward["against"]["tests"].items():
        other = back["against"]["tests"][name]
        assert test["system"] == forward["metrics"][f"test/{name}"] == other["baseline"]
        assert test["baseline"] == back["metrics"][f"test/{name}"]
        assert test["differing"] == other["differing"] > 0
        assert test["randomization"]["p"] == pytest.approx(other["randomization"]["p"])
    assert "seeds" not in forward["against"]  # the test set of `heads` has joins
    copies = tmp_path / "runs" / "single"
    for name, other in (("plain", 4.0), ("dot", 1.5)):
        for path in (text_runs[name], text_runs[name].with_name(f"{text_runs[name].name}-again")):
            shutil.copytree(text_runs[name], copies / path.name)
        result = json.loads((copies / path.name / "result.json").read_text())
        result |= {"id": path.name, "seed": result["seed"] + 1}
        result["metrics"]["test/bleu"] += other
        (copies / path.name / "result.json").write_text(json.dumps(result))
    pair = [copies / text_runs[name].name for name in ("plain", "dot")]
    compared = evaluated(f"run={pair[0]}", *given, f"against={pair[1]}")["against"]
    assert evaluated(f"run={pair[0]}", f"against={pair[1]}")["against"]["seeds"] == compared["seeds"]
    seeds, value = compared["seeds"], compared["tests"]["bleu"]["difference"]["value"]
    assert (seeds["bleu"]["pairs"], seeds["chrf"]["deviation"]) == (2, 0)
    assert seeds["bleu"]["mean"] == pytest.approx(value + 1.25)  # the second seed differs by 2.5 more
    assert seeds["bleu"]["deviation"] == pytest.approx(2.5 / 2**0.5)
    same = evaluated(f"run={text_runs['plain']}", *given, f"against={text_runs['plain']}")
    assert {test[kind]["p"] for test in same["against"]["tests"].values() for kind in significance.TESTS} == {1.0}


@pytest.mark.parametrize("kind", ["npz", "jsonl"])
def test_weights_on_the_reference_are_written_with_tokens_and_heads(
    text_runs: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    text, path = text_runs["text"], tmp_path / f"weights.{kind}"
    for name, heads in (("heads", 2), ("plain", None)):
        evaluated(
            f"run={text_runs[name]}", f"source={text / 'test.src'}", f"target={text / 'test.tgt'}", f"weights={path}"
        )
        if kind == "npz":
            with np.load(path) as file:
                rows = [{"line": n} | {k: file[f"{k}_{n}"] for k in ("source", "target", "weights", "heads")
                         if f"{k}_{n}" in file} for n in range(1, 32)]  # fmt: skip
        else:
            rows = [json.loads(line) for line in path.read_text().splitlines()]
        assert [row["line"] for row in rows] == list(range(1, 32))
        lines = (text / "test.src").read_text().splitlines(), (text / "test.tgt").read_text().splitlines()
        for row, source, target in zip(rows, *lines, strict=True):
            weights = np.asarray(row["weights"])
            assert weights.shape == (len(target.split()) + 1, len(source.split()) + 1)
            assert (list(row["source"])[-1], list(row["target"])[-1]) == ("</s>", "</s>")
            assert weights.sum(1) == pytest.approx(1, abs=1e-5)
            assert ("heads" in row) == (heads is not None)
            if heads:
                assert np.asarray(row["heads"]).shape == (heads, *weights.shape)
                assert np.asarray(row["heads"]).mean(0) == pytest.approx(weights, abs=1e-5)


def test_the_row_is_written_to_standard_output_and_to_the_run(
    runs: dict[str, Path], tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    run = tmp_path / runs["additive"].name
    shutil.copytree(runs["additive"], run)
    assert entry_point.code(verb.main, "", [f"run={run}", "lengths=7"]) == 0
    shown = capfdbinary.readouterr().out
    (kept,) = (run / "evaluations").iterdir()
    assert kept.read_bytes() == shown
    assert kept.name.startswith("lengths-")
    assert entry_point.code(verb.main, "", [f"run={run}", "lengths=7", f"out={tmp_path / 'row.json'}"]) == 0
    assert capfdbinary.readouterr().out == b""
    assert (tmp_path / "row.json").read_bytes() == kept.read_bytes()
    assert entry_point.code(verb.main, "", [f"run={run}", "lengths=7", "search=beam"]) == 0
    assert entry_point.code(verb.main, "", [f"run={run}", "lengths=8"]) == 0
    assert len(list((run / "evaluations").iterdir())) == 3
    assert result_of(run) == result_of(runs["additive"])


class ClosedPipe:
    """A closed pipe."""

    def write(self, _: bytes) -> None:
        raise BrokenPipeError


def test_a_row_that_cannot_be_written_to_one_place_is_written_to_the_other(
    runs: dict[str, Path], tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / runs["additive"].name
    shutil.copytree(runs["additive"], run)
    (run / "evaluations").write_text("no folder")
    assert entry_point.code(verb.main, "", [f"run={run}", "lengths=7"]) == entry_point.UNWRITTEN
    shown = capfdbinary.readouterr()
    assert json.loads(shown.out)["examples"] == 64
    assert b"evaluations" in shown.err
    (run / "evaluations").unlink()
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdout", SimpleNamespace(buffer=ClosedPipe()))
        with pytest.raises(BrokenPipeError):
            verb.main([f"run={run}", "lengths=7"])
    assert len(list((run / "evaluations").iterdir())) == 1


def test_the_file_name_depends_on_the_content_of_the_data(text_runs: dict[str, Path], tmp_path: Path) -> None:
    def name_of(folder: Path) -> str:
        return row_of(f"run={text_runs['plain']}", f"source={folder / 'test.src'}", f"target={folder / 'test.tgt'}")[
            1
        ].name

    moved = tmp_path / "moved"
    shutil.copytree(text_runs["text"], moved)
    assert name_of(moved) == name_of(text_runs["text"])
    (moved / "test.tgt").write_text((moved / "test.tgt").read_text().replace(" the ", " a "))
    assert name_of(moved) != name_of(text_runs["text"])


def test_changed_data_of_a_run_are_rejected(
    text_runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Moved data with the same content are accepted."""
    moved, run = tmp_path / "moved", tmp_path / text_runs["plain"].name
    shutil.copytree(text_runs["text"], moved)
    shutil.copytree(text_runs["plain"], run)
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["task"] |= {"path": str(moved), "alignment": str(moved / "links")}
    (run / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    assert figures(evaluated(f"run={run}")) == figures(result_of(text_runs["plain"]))
    capsys.readouterr()
    assert evaluated(f"run={run}", f"path={moved}", "split=train")["same_as"] == ["train"]
    assert capsys.readouterr().err == "warning: the run was trained on these pairs; their figures are no test\n"
    (moved / "links").write_text((moved / "links").read_text().replace("0-0", "0?0"))
    with pytest.raises(UserError, match="alignment has changed since the run was made"):
        evaluated(f"run={run}")
    (moved / "test.src").write_text((moved / "test.src").read_text().replace("der", "die"))
    with pytest.raises(UserError, match="test, alignment has changed since the run was made; path=DIR split=test"):
        evaluated(f"run={run}")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lengths=3"], "run=RUN is missing"),
        (["run=x", "length=3"], "did you mean lengths"),
        (["run=x", "source=a"], "give target=FILE with it"),
        (["run=x", "target=a"], "give source=FILE with it"),
        (["run=x", "source=a", "target=b", "lengths=3"], "source and lengths: one test set at a time"),
        (["run=x", "path=a", "lengths=3"], "path and lengths: one test set at a time"),
        (["run=x", "source=a", "target=b", "split=test"], "split=test is one of path=DIR"),
        (["run=x", "columns=de en"], "columns=de en names the columns of a TSV file of path=DIR"),
        (["run=x", "alignment=a"], "alignment=a has the links of a text"),
        (["run=x", "lengths=3,x"], "expected whole numbers with commas"),
        (["run=x", "lengths=3,3"], "expected different numbers from 1 to 2,000"),
        (["run=x", "lengths=2001"], "expected different numbers from 1 to 2,000"),
        (["run=x", "device=gpu"], "device=gpu: did you mean cpu"),
        (["run=x", "search.n_best=3"], "expected KEY=VALUE"),
        (["run=x", "out=/no/such/row.json"], "there is no folder /no/such"),
        (["run=x", "out=."], "out=. is a folder; give the name of a file"),
        (["run=x", "out=a.jsonl", "weights=./a.jsonl"], "out=a.jsonl and weights= are one file"),
        (["run=x", "weights=a.png"], "ends with .npz or .jsonl"),
        (["run=no-such-run"], "no folder of that name"),
    ],
)
def test_a_command_line_mistake_exits_with_2_and_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert entry_point.code(verb.main, "", words) == 2
    error_output = capsys.readouterr().err
    assert message in error_output
    assert error_output.count("\n") == 1


def test_arguments_that_do_not_fit_the_run_are_rejected(
    runs: dict[str, Path], text_runs: dict[str, Path], tmp_path: Path
) -> None:
    text = text_runs["text"]
    plain, synthetic = f"run={text_runs['plain']}", f"run={runs['additive']}"
    (tmp_path / "short").write_text("a\n")
    (tmp_path / "train.de").write_text("a\n")
    files = [f"source={text / 'test.src'}", f"target={text / 'test.tgt'}"]
    for words, message in (
        ([plain, "lengths=7"], "was trained on text; give source=FILE"),
        ([synthetic, "lengths=2"], "length 2: the shortest sources of this task have 3 tokens"),
        ([synthetic, "split=validation"], "has no text; leave it out"),
        ([synthetic, f"path={text}"], "was not trained on text; give source=FILE"),
        ([synthetic, f"against={runs['fixed_mean']}"], "sacrebleu compares text, and these examples have none"),
        ([plain, f"path={tmp_path / 'gone'}"], "is not a folder"),
        ([plain, f"path={tmp_path}"], r"has no test_2016_flickr\.src or test\.src"),
        ([plain, f"path={text}", "columns=src tgt"], "names the columns of a TSV file, but test is not one"),
        ([plain, "split=dev"], "the run has train, validation, test; give path=DIR"),
        ([plain, files[0], f"target={tmp_path / 'short'}"], "has 31 lines and .*short has 1 lines"),
        ([plain, files[0], f"{files[1]},{tmp_path / 'short'}"], "has 31 lines and .*short has 1 lines"),
        ([plain, files[0], "target=gone"], "gone cannot be read"),
        ([plain, *files, "search.size=3"], "search.size: the chosen search has no such key"),
        (
            [f"run={runs['fixed_mean']}", f"weights={tmp_path / 'a.npz'}"],
            "attention=fixed_mean reads one fixed context",
        ),
        ([synthetic, *files, f"against={text_runs['plain']}"], "writes tgt, and this text is translated to en"),
    ):
        with pytest.raises(UserError, match=message):
            evaluated(*words)
    assert not (tmp_path / "a.npz").exists()
