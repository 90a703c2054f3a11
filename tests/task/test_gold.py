"""Pharaoh files of a test set: from the file to AER in the result row, counted in words for any tokenization."""

from pathlib import Path

import numpy as np
import pytest

from softlookup.contract import Example
from softlookup.errors import UserError
from softlookup.evaluation.examined import Examined
from softlookup.evaluation.outputs import Output
from softlookup.segmentation.word import Word
from softlookup.task.gold import linked
from softlookup.task.parallel import Parallel
from softlookup.text.vocabulary import EOS

# First pair: four tokens in three words, five tokens in four words.
PAIRS = [("Ein Mann schläft.", "A man is sleeping."), ("Ja", "Yes")]


def corpus(folder: Path, **files: str) -> Parallel:
    """Build a task whose splits are all PAIRS, with link files of the given content."""
    for stem in ("train", "val", "test"):
        for language, side in zip(("de", "en"), zip(*PAIRS, strict=True), strict=True):
            (folder / f"{stem}.{language}").write_text("".join(f"{line}\n" for line in side), encoding="utf-8")
    link_files: dict[str, str | None] = {"alignment": None, "silver": None}
    for name, content in files.items():
        (folder / name).write_text(content)
        link_files[name] = str(folder / name)
    return Parallel(str(folder), None, None, "de", "en", Word(1, True), 50, 1, **link_files)


def test_links_count_the_words_of_the_original_line(tmp_path: Path) -> None:
    """A non-ASCII space is a word to the programs that write links, but not to the model."""
    vocabularies = Word(1, True).learn(PAIRS, ("de", "en"), 50)
    (tmp_path / "links").write_text("1-0 2-1\n")
    pair = ("\u00a0 Ein Mann", "A man \u00a0")
    example = Example(vocabularies[0].read(pair[0]), vocabularies[1].read(pair[1]))
    (found,) = linked([example], [pair], vocabularies, (str(tmp_path / "links"), None))
    assert found.links is not None
    assert (found.links.source, found.links.target) == ((1, 2), (0, 1))


def output(example: Example, links: dict[int, int]) -> Output:
    """Build forced weights whose maximum over words for target token t is at source token links[t]."""
    weights = np.full((len(example.target) + 1, len(example.source) + 1), 0.01)
    for t, s in links.items():
        weights[t, s] = 0.5
    weights[:, -1] = 0.9  # EOS is not a word: its column is ignored
    return Output(example, [*example.target, EOS], weights, [*example.target, EOS], weights)


def test_aer_from_the_link_file_to_the_row_by_hand(tmp_path: Path) -> None:
    task = corpus(tmp_path, alignment="0-0 1-1 2-3 2?2\n0-0\n", silver="0-0\n0?0\n")
    first, second = sorted(task.test(), key=lambda example: -len(example.source))
    assert first.links is not None
    assert (first.links.source, first.links.target) == ((0, 1, 2, 2), (0, 1, 2, 3, 3))
    # a - ein, man - ein, is - schläft, sleeping - schläft, "." - "."; yes - ja. Word links: 0-0, 0-1, 2-2, 2-3; 0-0.
    outputs = [output(first, {0: 0, 1: 0, 2: 2, 3: 2, 4: 3}), output(second, {0: 0})]
    row = Examined(outputs, task).row([0, 1])
    assert row["forced/aer"] == pytest.approx(1 - (3 + 4) / (5 + 4))
    assert row["forced/aer_silver"] == pytest.approx(1 - (1 + 2) / (5 + 1))
    assert row["aer"] is None  # free decoding wrote other words than the linked reference


def test_aer_is_none_for_a_fixed_context_and_absent_without_links(tmp_path: Path) -> None:
    task = corpus(tmp_path, alignment="0-0\n0-0\n")
    outputs = [Output(example, [EOS], None, [*example.target, EOS], None) for example in task.test()]
    row = Examined(outputs, task).row([0, 1])
    assert row["forced/aer"] is None
    assert "forced/aer_silver" not in row
    assert all(example.links is None for example in corpus(tmp_path).test())


def test_a_link_file_that_does_not_fit_the_test_set_is_rejected(tmp_path: Path) -> None:
    for content, message in (
        ("0-0\n", r"alignment has 1 lines, and the test set 2 pairs"),
        ("0-0\n0-1\n", r"alignment, line 2: link 0-1 of a pair with 1 source and 1 target words; .* from 0"),
        ("0-0\n0 0\n", r"alignment, line 2: '?0'? is not a link"),
    ):
        with pytest.raises(UserError, match=message):
            corpus(tmp_path, alignment=content)
    with pytest.raises(UserError, match="gone cannot be read"):
        linked([], [], (None, None), (str(tmp_path / "gone"), None))  # type: ignore[arg-type]
