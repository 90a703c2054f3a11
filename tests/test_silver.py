"""Silver alignments: the statistical aligner on a language with one translation per word."""

import shutil
import sysconfig
from pathlib import Path

import numpy as np
import pytest

import silver as verb
from softlookup.errors import UserError
from softlookup.evaluation import eflomal
from softlookup.evaluation.metrics.links import aer
from softlookup.text import pharaoh

INSTALLED = shutil.which(eflomal.PROGRAM, path=sysconfig.get_path("scripts")) or shutil.which(eflomal.PROGRAM)


def write(folder: Path, count: int) -> list[pharaoh.Gold]:
    """Write sentences of 7 words and a full stop, whose translations swap the first two words; return the gold."""
    generator = np.random.default_rng(count)
    lines: tuple[list[str], list[str]] = ([], [])
    for _ in range(count):
        words = generator.permutation(31)[:7].tolist()
        lines[0].append(" ".join(f"Q{i}" for i in words) + ".")
        lines[1].append(" ".join(f"z{i}" for i in [words[1], words[0], *words[2:]]) + ".")
    for name, side in zip(("source", "target"), lines, strict=True):
        (folder / name).write_text("".join(f"{line}\n" for line in ["", *side]))
    links = frozenset({(0, 1), (1, 0), *((i, i) for i in range(2, 7))})
    return [pharaoh.Gold(frozenset(), frozenset()), *[pharaoh.Gold(links, links)] * count]


@pytest.mark.skipif(not INSTALLED, reason="eflomal is not installed (pip install eflomal)")
def test_silver_is_close_to_gold_with_one_translation_per_word(tmp_path: Path) -> None:
    gold = write(tmp_path, 211)
    arguments = [f"{key}={tmp_path / key}" for key in ("source", "target", "output")]
    assert verb.made(arguments) == tmp_path / "output"
    predicted = pharaoh.read(tmp_path / "output")
    assert predicted[0].sure == frozenset()
    error = aer([one.sure for one in predicted], gold)
    assert error is not None
    assert error < 0.1
    more = [f"more_{key}={tmp_path / key}" for key in ("source", "target")]
    verb.main([*arguments, *more, "symmetrize=intersection"])
    assert len(pharaoh.read(tmp_path / "output")) == len(gold)


def test_without_the_program_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(UserError, match=r"pip install eflomal"):
        eflomal.aligned([("a", "b")], [], "union")
    assert eflomal.aligned([("", "b"), (" ", "")], [], "union") == [frozenset()] * 2


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("#!/bin/sh\necho so, no >&2\nexit 7\n", "exited with code 7: so, no"),
        ("#!/bin/sh\n: > $6\n: > $8\n", "of 0 and 0 pairs"),
    ],
)
def test_a_failing_program_is_reported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, message: str
) -> None:
    program = tmp_path / "aligner"
    program.write_text(script)
    program.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda *_, **__: str(program))
    with pytest.raises(UserError, match=message):
        eflomal.aligned([("a", "b")], [], "union")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["source=a", "target=b"], r"output=FILE is missing"),
        (["source=a", "target=b", "output=c", "more_source=d"], r"give both"),
        (["source=a", "target=b", "output=c", "symmetrize=no"], r"intersection"),
        (["source=/no/a", "target=b", "output=c"], r"/no/a cannot be read"),
    ],
)
def test_mistakes_are_reported(words: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        verb.main(words)
