"""Commands of the documents: those that train are composed, those for finished runs are executed."""

import json
import re
import shlex
from collections.abc import Iterator
from io import BytesIO, TextIOWrapper
from pathlib import Path
from string import Template

import numpy as np
import pytest
import used_runs
from hydra.core.hydra_config import HydraConfig

import evaluate
import translate
from softlookup.config.resolve import composed, typed_keys
from softlookup.run import start
from softlookup.runs.inputs import with_inputs
from softlookup.runs.run_folder import RunFolder
from softlookup.system import entry_point

HOUSE = Path(__file__).parents[1]
PROGRAMS = HOUSE / "src" / "README.md"
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "conf/README.md", "experiments/README.md", "src/README.md")
NOTES = tuple(f"experiments/notes/{name}.md" for name in ("bleu_by_length", "multi30k", "recurrent_and_transformer"))
FOLDERS = ("conf", "experiments", "src", "tests")
SMALL = ["encoder.width=7", "decoder.width=14", "batch_tokens=200", "tracking=disabled", "device=cpu"]
TEXT = ["task=multi30k", "task.path=text", "task.source=src", "task.target=tgt", "budget=500", "validations=1", *SMALL]
COPY = ["task=copy", "task.longest=3", "budget=600", "validations=6", *SMALL, "batch_tokens=50"]


def indented(document: str) -> list[str]:
    """Return the code lines of a document, and code in its tables, without comments, with its shell variables
    substituted."""
    text = (HOUSE / document).read_text(encoding="utf-8")
    lines = [line.split("   #")[0].strip() for line in text.splitlines() if line.startswith("    ")]
    lines += [code for line in text.splitlines() if line.startswith("|") for code in re.findall("`([^`]+)`", line)]
    names: dict[str, str] = {}
    for line in lines:
        if re.match(r"[A-Z_0-9]+=", line):
            name, value = shlex.split(Template(line).safe_substitute(names))[0].split("=", 1)
            names[name] = value
    return [Template(line).safe_substitute(names) for line in lines]


def composed_by(line: str) -> list[str] | None:
    """Return the arguments that a shell line passes to Hydra, or None if it does not train."""
    if not line.startswith(("python src/train.py", "make sweep")):
        return None
    words = shlex.split(line)
    if words[:2] == ["python", "src/train.py"]:
        return [word for word in words[2:] if word != "-m"]
    given = dict(word.split("=", 1) for word in words[2:])
    return [f"experiment={given.get('EXPERIMENT', 'bottleneck')}", *shlex.split(given.get("ARGS", ""))]


@pytest.mark.parametrize("document", [*DOCUMENTS, *NOTES])
def test_every_command_that_trains_is_composed(document: str) -> None:
    """Sweeps are composed with their first values; names that a reader must supply are replaced by existing ones."""
    found = [words for line in indented(document) if (words := composed_by(line)) is not None]
    assert found
    for line in found:
        first = [re.sub(r"^([\w./]+=)([^,\[]*),.*$", r"\1\2", word) for word in line]
        words = [
            word.replace("=distance", "=dot").replace("=N", "=7") for word in first if not word.startswith("hydra")
        ]
        composed(words)


def anchors(text: str) -> set[str]:
    """Return the anchors of a document's headings, as GitHub names them."""
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize(
    "path",
    [*HOUSE.glob("*.md"), *(path for folder in FOLDERS for path in (HOUSE / folder).rglob("*.md"))],
    ids=lambda path: str(path.relative_to(HOUSE)),
)
def test_every_relative_link_leads_to_a_file_and_a_heading(path: Path) -> None:
    text = re.sub(r"`[^`\n]*`", "", path.read_text(encoding="utf-8"))
    for link in re.findall(r"\]\(([^()\s]+)\)", text):
        if "://" not in link:
            name, _, anchor = link.partition("#")
            file = (path.parent / name).resolve() if name else path
            assert file.exists(), link
            assert not anchor or anchor in anchors(file.read_text(encoding="utf-8")), link


def commands(program: str) -> list[str]:
    """Return the indented lines that call a program, without comments."""
    section = PROGRAMS.read_text(encoding="utf-8").split("## Using a trained model\n")[1].split("\n## ")[0]
    lines = [line.split("   #")[0].strip() for line in section.splitlines() if line.startswith("    ")]
    found = [line for line in lines if f"python src/{program}.py" in line]
    assert found, f"{PROGRAMS} has no line that calls {program}.py"
    return found


def filled(line: str, **names: str) -> list[str]:
    """Return the arguments of a line, with placeholders in capitals replaced."""
    text = re.sub(r"\b(RUN2|RUN|FILE2|DIR|NAME|N)\b", lambda match: names[match[1]], line)
    words = shlex.split(re.sub(r"^.*python src/\w+\.py ", "", text))
    return words[: words.index("<")] if "<" in words else words


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("readme")
    used_runs.corpus(path / "text")
    (path / "text" / "dev2.tgt").write_bytes((path / "text" / "dev.tgt").read_bytes())
    return path


@pytest.fixture(autouse=True)
def _there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    yield
    HydraConfig.instance().cfg = None


def trained(*words: str) -> str:
    """Train a run with these arguments; return its folder."""
    config = with_inputs(composed(list(words)), typed_keys())
    start(config)
    return str(RunFolder.of(config).path)


@pytest.fixture(scope="module")
def runs(folder: Path) -> dict[str, str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        return {"text": trained(*TEXT), "other": trained(*TEXT, "seed=2"), "copy": trained(*COPY)}


def test_every_translation_command_gives_a_line_for_each_line(
    folder: Path, runs: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    source = (folder / "text" / "dev.src").read_bytes()
    for line in commands("translate"):
        given = shlex.split(line)[1].encode() + b"\n" if line.startswith("echo") else source
        stdin = TextIOWrapper(BytesIO(given))
        stdin.isatty = lambda: False  # type: ignore[method-assign]
        monkeypatch.setattr("sys.stdin", stdin)
        words = filled(line.replace("FILE.npz", "looks.npz"), RUN=runs["text"])
        assert entry_point.code(translate.main, "", words) == 0
        assert capsysbinary.readouterr().out.count(b"\n") == given.count(b"\n")
    assert (folder / "map.png").read_bytes().startswith(b"\x89PNG")
    assert len(np.load(folder / "looks.npz")) > 0


def test_every_evaluation_command_gives_a_row(
    folder: Path, runs: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    lines = commands("evaluate")
    for line in lines:
        run = "copy" if "lengths=" in line else "text"
        files = line.replace("source=FILE", "source=text/dev.src").replace("target=FILE", "target=text/dev.tgt")
        files = files.replace(",FILE2", ",text/dev2.tgt").replace("FILE.npz", "forced.npz")
        words = filled(files, RUN=runs[run], RUN2=runs["other"], DIR="text", NAME="dev")
        assert entry_point.code(evaluate.main, "", words) == 0
        row = json.loads(capsys.readouterr().out)
        assert row["run"] == Path(runs[run]).name
        assert row["metrics"]["test/token_accuracy"] is not None
        assert "against=" not in line or row["against"]
    assert len(list((Path(runs["text"]) / "evaluations").iterdir())) == len(lines) - 1
    assert (folder / "forced.npz").is_file()


def test_every_training_command_trains() -> None:
    """The commands run in order; a command that starts from a run starts from the previous one."""
    run = ""
    for line in commands("train"):
        words = filled(line, RUN=run, N="900")
        run = trained(*([] if "continue_from" in line else COPY), *words)
    row = RunFolder(Path(run)).result()
    assert row is not None
    assert row["continued"]["budget"] == 600
