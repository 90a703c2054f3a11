"""Closed or unwritable standard streams: lost messages are ignored, lost output of a command is an error."""

import importlib
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import used_runs

from softlookup.system import entry_point

SOURCE = Path(__file__).parents[1] / "src"
PROGRAMS = sorted(path.stem for path in SOURCE.glob("*.py"))


def environment(**variables: str) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", **variables}


def train(runs_dir: Path, *words: str) -> list[str]:
    return [sys.executable, str(SOURCE / "train.py"), *used_runs.TINY, f"runs_dir={runs_dir}", *words]


def states(runs_dir: Path) -> list[Any]:
    return [json.loads(path.read_text())["state"] for path in runs_dir.glob("*/*/state.json")]


def test_a_run_continues_when_its_output_cannot_be_written(tmp_path: Path) -> None:
    """Both streams into one pipe, which is closed after the first line."""
    process = subprocess.Popen(
        train(tmp_path), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b"held out from training")
    process.stdout.close()
    assert process.wait(timeout=120) == 0
    assert states(tmp_path) == ["finished"]
    # A sweep of two runs that prints to a full disk, in an encoding without the characters of the table.
    with open("/dev/full", "w") as full:
        again = subprocess.run(
            train(tmp_path, "-m", "seed=1,2"), env=environment(PYTHONIOENCODING="ascii"), stdout=full, stderr=full,
            timeout=120, check=False,
        )  # fmt: skip
    assert again.returncode == 0
    assert states(tmp_path) == ["finished"] * 2


SAID = """
import os, sys
from softlookup.system import entry_point as entry
def main(arguments):
    for word in arguments:
        print("é─" * 50_000, flush=word == "flush")
    print("told", file=sys.stderr)
    return 7
entry.run(main, "", product=sys.argv.pop(1) == "product")
"""


def exit_and_errors(shell: str, *, encoding: str = "utf-8") -> tuple[str, str]:
    """Run a pipeline; return the exit code of its first program, and its standard error."""
    done = subprocess.run(
        ["bash", "-c", f"{shell}; echo ${{PIPESTATUS[0]}} >&2"],
        env=environment(PYTHONUNBUFFERED="", PYTHONIOENCODING=encoding, PYTHON=sys.executable, SAID=SAID),
        capture_output=True, text=True, errors="replace", check=True, timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    *said, code = done.stderr.splitlines()
    return code, "\n".join(said)


@pytest.mark.parametrize("flush", ["flush", "once"])
def test_lost_messages_are_ignored_and_lost_output_is_an_error(flush: str) -> None:
    program = '"$PYTHON" -c "$SAID"'
    for sink in ("| true", "> /dev/full", ">&-"):
        assert exit_and_errors(f"{program} told {flush} {flush} {sink}") == ("7", "told")
    assert exit_and_errors(f"{program} product {flush} {flush} | true")[0] == "141"
    assert exit_and_errors(f"{program} product {flush} {flush} > /dev/full")[0] == "1"
    assert exit_and_errors(f"{program} product {flush} >&-") == ("1", "error: standard output is closed")
    assert exit_and_errors(f"{program} told {flush} | cat", encoding="ascii") == ("7", "told")
    assert exit_and_errors(f"{program} told {flush} 2>&- | cat", encoding="cp1252") == ("7", "")


def test_characters_outside_the_encoding_are_replaced() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SAID.replace("50_000", "1"), "told", "word"],
        env=environment(PYTHONIOENCODING="cp1252"), capture_output=True, check=False,
    )  # fmt: skip
    assert done.stdout.decode("cp1252").split() == ["é?"]


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_help_of_every_program_has_its_keys_and_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    if name == "train":
        pytest.skip("its help is that of all choices: see below")
    program = importlib.import_module(name)
    text = (SOURCE / f"{name}.py").read_text()
    assert "entry_point.run(main, __doc__" in text
    for word in ("--help", "-h"):
        assert entry_point.code(program.main, program.__doc__, [word]) == 0
    output = capsys.readouterr().out
    assert output.count(f"python src/{name}.py") >= 2 or "make bench-peers" in output
    keys = {key for line in output.splitlines() for key in re.findall(r"(?<![\w.])([a-z_]+)=", line)}
    assert {*getattr(program, "KEYS", ())} <= {*keys, *(key.split(".")[0] for key in keys)}


def test_the_help_of_training_has_examples_choices_and_keys() -> None:
    shown = subprocess.run(
        [sys.executable, SOURCE / "train.py", "-h"], env=environment(), capture_output=True, text=True, check=False
    )
    assert (shown.returncode, shown.stderr) == (0, "")
    for part in (
        "python src/train.py -m attention=additive,general seed=1,2",
        "attention: additive, ",
        "budget: 400000",
    ):
        assert part in shown.stdout


class _Stream(io.StringIO):
    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.mark.parametrize(
    ("terminal", "arguments", "printed"), [(True, [], "reading …\n"), (True, ["--help"], ""), (False, [], "")]
)
def test_the_first_line_is_for_terminals(
    terminal: bool, arguments: list[str], printed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = _Stream(terminal)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(sys, "argv", ["export.py", *arguments])
    entry_point.announce("reading …")
    assert stream.getvalue() == printed
