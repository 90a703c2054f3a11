"""The words of a command line: paths as the shell passes them, numbers by one grammar, commands to be typed again."""

import os
import re
import shlex
from pathlib import Path

import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import ChoiceSweep

from softlookup.config import command_line
from softlookup.config.resolve import composed
from softlookup.errors import UserError
from softlookup.inference.search_overrides import search_of
from softlookup.runs.run_id import run_id
from softlookup.tracking import wandb_files

SOURCE = Path(__file__).parents[1] / "src"
NAMES = [
    "a=b", "a b", " a ", "[a]", "a{b}", "gr\u00f6\u00dfe \u8a9e", "a,b", "it's", 'a"q"', "(x)", "#x", "a\\b", "a\\'b",
    "x:y", "$HOME", "a;b", "choice(a,b)", "null a", "1e4", "007", "a\\",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _forget_the_last_config():
    yield
    HydraConfig.instance().cfg = None


@pytest.mark.parametrize("name", NAMES)
def test_a_path_is_what_the_shell_passed(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative and absolute, plain and with Hydra's plus signs, of one run, and of a sweep where it is there."""
    monkeypatch.chdir(tmp_path)
    words = [f"runs_dir={name}", "task=multi30k", f"++task.path={tmp_path / name}", f"task.silver={name}"]
    config = composed([*words, f"task.test={name}"])
    assert config.settings.runs_dir == config.parts["task"]["test"] == name
    assert config.parts["task"]["path"] == config.parts["task"]["silver"] == str(tmp_path / name)
    (tmp_path / name).mkdir()
    for _, override in command_line.parsed(command_line.split([f"runs_dir={name}", "-m"])[1]):
        assert (override.value(), override.is_sweep_override()) == (name, False)


def swept(value: str) -> list[str] | str:
    """The paths that a sweep goes over, or the one that it stays at."""
    ((_, override),) = command_line.parsed(command_line.split(["-m", f"task.path={value}"])[1])
    found = override.value()
    return [getattr(each, "text", each) for each in found.list] if isinstance(found, ChoiceSweep) else found


def test_a_comma_parts_two_paths_of_a_sweep_unless_the_whole_exists(tmp_path: Path) -> None:
    one, other = f"{tmp_path}/a [1]=b", f"{tmp_path}/it's"
    assert swept(f"{one},{other}") == [one, other]
    assert swept(f"'{one}',\"{other}\"") == [one, other]
    assert swept(f"choice({tmp_path}/x,{tmp_path}/y)") == [f"{tmp_path}/x", f"{tmp_path}/y"]
    os.makedirs(f"{one},{other}")
    assert swept(f"{one},{other}") == f"{one},{other}"
    assert swept("null") is None
    assert command_line.split(["-m", "task.path=a,b", "seed=1,2"])[1] == ["task.path='a','b'", "seed=1,2"]
    assert command_line.split(["experiment=x", "runs_dir=a,b"])[1][1] == "runs_dir='a','b'"
    assert command_line.split(["runs_dir=a,b"])[1] == ["runs_dir='a,b'"]
    assert swept("~/x") == os.path.expanduser("~/x")


@pytest.mark.parametrize(
    ("word", "plain"),
    [
        ("budget=1e4", "budget=10000"),
        ("seed=2.0", "seed=2"),
        ("batch_tokens=1E3", "batch_tokens=1000"),
        ("encoder.width=1.6e1", "encoder.width=16"),
        ("encoder.width=16.0", "encoder.width=16"),
        ("attention.heads=2.0", "attention.heads=2"),
    ],
)
def test_a_whole_number_is_one_however_it_is_written(word: str, plain: str) -> None:
    one, other = composed([word]), composed([plain])
    assert one == other
    assert repr(one) == repr(other)  # 2 == 2.0
    assert run_id(one) == run_id(other)


@pytest.mark.parametrize("word", ["budget=1e-1", "seed=1.5", "encoder.width=1e400", "attention.heads=2.5", "seed=true"])
def test_what_is_no_whole_number_is_refused(word: str) -> None:
    with pytest.raises(UserError, match="expected"):
        composed([word])


def test_a_finished_run_is_searched_by_the_same_grammar() -> None:
    asked = {"search": "beam", "search.length_penalty": "1e-1", "search.size": "7.0", "search.n_best": "1e0"}
    search = vars(search_of(composed([]), asked))
    assert (search["length_penalty"], search["size"], search["n_best"]) == (0.1, 7, 1)
    assert {type(search[key]) for key in ("size", "n_best")} == {int}
    for value in ("1,2", "0.6x", "[1]", "true", "null"):
        with pytest.raises(UserError, match=r"search\.length_penalty="):
            search_of(composed([]), {"search": "beam", "search.length_penalty": value})


def test_counts_and_truths_of_the_other_programs() -> None:
    assert [command_line.whole("batch", text, 1, 10_000) for text in ("1", "1e3", "64.0", "10000")] == [
        1,
        1000,
        64,
        10_000,
    ]
    assert [command_line.truth("all", text) for text in ("true", "True", "FALSE")] == [True, True, False]
    for text in ("0", "-1", "1e5", "1.5", "x", "true", "1,2", "", "1e400"):
        with pytest.raises(UserError, match=f"batch={text}"):
            command_line.whole("batch", text, 1, 10_000)
    for text in ("1", "yes", "null", "true,false"):
        with pytest.raises(UserError, match=f"all={text}"):
            command_line.truth("all", text)


@pytest.mark.parametrize("name", ["runs of mine", "it's", 'q"q', "a$b", "gr\u00f6\u00dfe", "plain"])
def test_what_is_to_be_typed_again_is_one_word_to_the_shell(name: str, tmp_path: Path) -> None:
    make, verb, given = shlex.split(wandb_files.remedy(tmp_path / name / "tried" / "run", "offline"))
    assert (make, verb) == ("make", "resync")
    seen_by_the_second_shell = given.removeprefix("ARGS=").replace("$$", "$")
    assert shlex.split(seen_by_the_second_shell) == [f"runs_dir={tmp_path / name}", "experiment=tried"]


def test_no_path_in_a_command_goes_unquoted() -> None:
    """Of all that is printed to be typed again; `place` and `folders` are quoted where they are made."""
    text = "".join(path.read_text() for path in SOURCE.rglob("*.py"))
    found = re.findall(r"(?:rm -r|wandb sync) \{(?!shell_quote|place|folders)[^}]*\}", text)
    assert not found
