"""A run that starts from the weights of a finished one: its vocabularies, what fits of it, and what counts of it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.core.hydra_config import HydraConfig
from test_resume import attempt, outcome

from softlookup import run
from softlookup.config.build import build_model
from softlookup.config.resolve import composed, typed_keys
from softlookup.errors import Stopped, UserError
from softlookup.inference.initial_weights import origin_of, start_from, task_of
from softlookup.runs.inputs import with_inputs
from softlookup.runs.run_folder import RunFolder
from softlookup.runs.run_id import run_id
from softlookup.training.fit import Fit

TINY = [
    "encoder.width=7", "decoder.width=14", "encoder.embedding=11", "decoder.embedding=13",
    "budget=300", "batch_tokens=60", "validations=2", "tracking=disabled", "device=cpu",
]  # fmt: skip
WORDS = (["ein", "Hund", "und", "Kind", "rot", "blau"], ["a", "dog", "and", "child", "red", "blue"])


@pytest.fixture(autouse=True)
def _forget_the_last_config():
    yield
    HydraConfig.instance().cfg = None


def asked(*words: str) -> dict[str, Any]:
    return with_inputs(composed([*TINY, *words]), typed_keys())


def corpus(place: Path, more: str = "") -> str:
    """A folder of text; with `more`, a word that no other has."""
    place.mkdir(parents=True)
    for split, count in (("train", 60), ("val", 20), ("test_2016_flickr", 20)):
        for words, language in zip(WORDS, ("de", "en"), strict=True):
            lines = [" ".join(words[(i * k + k) % 6] for k in range(1, 3 + i % 4)) + more for i in range(count)]
            (place / f"{split}.{language}").write_text("".join(f"{line}\n" for line in lines))
    return f"task.path={place}"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two finished runs of text that differ in their seed, and one of symbols."""
    place = tmp_path_factory.mktemp("made")
    text = ["task=multi30k", corpus(place / "text"), "segmentation.minimum_frequency=1"]
    wanted = {"text": text, "other": [*text, "seed=2"], "symbols": ["task=copy", "task.longest=4", "task.symbols=17"]}
    folders = {}
    for name, words in wanted.items():
        config = asked(*words, f"runs_dir={place / 'runs'}")
        run.supervise(config, RunFolder.of(config))
        folders[name] = RunFolder.of(config).path
    HydraConfig.instance().cfg = None
    return folders


def test_a_run_starts_from_the_weights_with_the_vocabularies_of_another(
    made: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On text with a word that the first run has never seen, which stays unknown."""
    config = asked("task=multi30k", corpus(tmp_path / "b", " neu"), f"init_from={made['text']}", f"runs_dir={tmp_path}")
    origin = origin_of(config)
    assert origin is not None
    task = task_of(config, origin)
    assert task.source_vocabulary.state() == origin.source.state()
    assert "neu" not in task.source_vocabulary.tokens
    model = build_model(config, len(task.source_vocabulary), len(task.target_vocabulary))
    started = start_from(model, origin)
    weights = torch.load(made["text"] / "checkpoints" / "final.pt", weights_only=True)
    assert all(torch.equal(weight, weights[name]) for name, weight in model.state_dict().items())
    assert (len(started.taken), started.new, started.left) == (len(weights), [], [])

    run.supervise(config, RunFolder.of(config))
    row = RunFolder.of(config).result()
    assert row is not None
    assert row["init_from"] == {"run": made["text"].name, "taken": len(weights), "new": [], "left": []}
    assert "segmentation" not in row["choices"]
    assert "unknown" in capsys.readouterr().out
    folders = made["text"], RunFolder.of(config).path
    first, second = (json.loads((folder / "vocabularies.json").read_text()) for folder in folders)
    assert first == second


def test_of_another_model_what_fits_is_taken_and_the_rest_is_told(made: dict[str, Path]) -> None:
    config = asked("task=copy", "task.longest=4", "task.symbols=17", "attention=dot", f"init_from={made['symbols']}")
    origin = origin_of(config)
    assert origin is not None
    task = task_of(config, origin)
    model = build_model(config, len(task.source_vocabulary), len(task.target_vocabulary))
    fresh = {name: weight.clone() for name, weight in model.state_dict().items()}
    started = start_from(model, origin)
    assert started.taken
    assert all("attention" in name for name in started.left)
    assert {*started.taken, *started.new} == fresh.keys()
    for name, weight in model.state_dict().items():
        wanted = origin.model.state_dict()[name] if name in started.taken else fresh[name]
        assert torch.equal(weight, wanted), name
    assert f"{len(started.taken)} weights of {made['symbols'].name}" in started.note()
    assert all(name in started.note() for name in (*started.new, *started.left))


def test_weights_that_are_one_here_and_were_two_there_are_not_said_to_be_taken(made: dict[str, Path]) -> None:
    words = ["decoder.readout=13", "tying=target", f"init_from={made['symbols']}"]
    config = asked("task=copy", "task.longest=4", "task.symbols=17", *words)
    origin = origin_of(config)
    assert origin is not None
    task = task_of(config, origin)
    model = build_model(config, len(task.source_vocabulary), len(task.target_vocabulary))
    started = start_from(model, origin)
    now, there = model.state_dict(), origin.model.state_dict()
    assert all(torch.equal(now[name], there[name]) for name in started.taken)
    assert "output.weight" not in started.taken


def test_what_a_run_starts_from_counts_by_its_content(made: dict[str, Path], tmp_path: Path) -> None:
    text = ["task=multi30k", f"task.path={made['text'].parents[2] / 'text'}", "task.longest=30"]
    moved = tmp_path / "elsewhere" / made["text"].name
    shutil.copytree(made["text"], moved)
    names = [
        run_id(asked(*text, *words))
        for words in ([], [f"init_from={made['text']}"], [f"init_from={moved}"], [f"init_from={made['other']}"])
    ]
    assert names[1] == names[2]
    assert len({names[0], names[1], names[3]}) == 3
    config = asked(*text, f"init_from={moved}")
    shutil.rmtree(moved)
    shutil.copytree(made["other"], moved)
    (moved / "config.yaml").write_bytes((made["other"] / "config.yaml").read_bytes())
    with pytest.raises(UserError):
        origin_of(config)


def test_what_comes_from_the_other_run_is_refused_or_leaves_no_trace(made: dict[str, Path], tmp_path: Path) -> None:
    """The size of a vocabulary that is kept, and the first weights where every weight is taken."""
    text = ["task=multi30k", corpus(tmp_path / "text"), f"init_from={made['text']}"]
    with pytest.raises(UserError, match=r"segmentation\.vocabulary_size=5: init_from keeps the vocabularies"):
        asked(*text, "segmentation.vocabulary_size=5")
    with pytest.raises(UserError, match="initialization: init_from takes every weight from"):
        asked(*text, "initialization=uniform")
    assert asked(*text, "attention=general", "initialization=uniform").choices["initialization"] == "uniform"


def test_a_yes_or_no_of_the_command_line_makes_no_run_useless(tmp_path: Path) -> None:
    config = asked("task=copy", "task.longest=4", "encoder.bidirectional=false", f"runs_dir={tmp_path}")
    run.supervise(config, RunFolder.of(config))
    taken = asked("task=copy", "task.longest=4", "seed=2", f"init_from={RunFolder.of(config).path}")
    assert config.choices["encoder.bidirectional"] is False
    assert set(taken.data) == {"init_from"}


@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        ("text", ["segmentation=bpe"], "segmentation=bpe: init_from keeps the vocabularies of .*, and with them its"),
        ("text", ["segmentation.lowercase=false"], r"segmentation\.lowercase=False: init_from keeps the vocabularies"),
        ("nowhere", [], "init_from=.*: no folder of that name, and no run below"),
    ],
)
def test_what_nothing_can_be_started_with_is_refused(
    made: dict[str, Path], name: str, words: list[str], said: str, tmp_path: Path
) -> None:
    text = ["task=multi30k", f"task.path={made['text'].parents[2] / 'text'}"]
    with pytest.raises(UserError, match=said):
        asked(*text, *words, f"init_from={made.get(name, name)}", f"runs_dir={tmp_path}")


def test_a_task_of_other_tokens_leaves_no_run_behind(made: dict[str, Path], tmp_path: Path) -> None:
    words = ["task=copy", "task.longest=4", "task.symbols=19", f"init_from={made['symbols']}", f"runs_dir={tmp_path}"]
    config = asked(*words)
    said = r"its source tokens differ \(21 there, 23 here; one has more than the other\)"
    with pytest.raises(UserError, match=said):
        run.supervise(config, RunFolder.of(config))
    assert not RunFolder.of(config).path.exists()


def test_a_run_that_started_from_another_goes_on_to_the_same_bits(
    made: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["task=copy", "task.longest=4", "task.symbols=17", f"init_from={made['symbols']}"]
    whole, stopped = (asked(*words, f"runs_dir={tmp_path / name}") for name in ("whole", "stopped"))

    def stop(fit: Fit, number: int) -> None:
        if number == 3:
            fit.stop.number = 15

    with pytest.raises(Stopped):
        attempt(stopped, monkeypatch, stop)
    assert outcome(attempt(stopped, monkeypatch)) == outcome(attempt(whole, monkeypatch))
