"""Pharaoh files of a test set: from the file to AER in the result row, in words whatever the tokens."""

from pathlib import Path

import numpy as np
import pytest

from softlookup.contract import Example
from softlookup.errors import UserError
from softlookup.evaluation.evaluate import Output, _row
from softlookup.segmentation.word import Word
from softlookup.task.gold import linked
from softlookup.task.parallel import Parallel
from softlookup.text.vocabulary import EOS

# Four tokens in three words, and five tokens in four.
PAIRS = [("Ein Mann schläft.", "A man is sleeping."), ("Ja", "Yes")]


def corpus(folder: Path, **files: str) -> Parallel:
    """A task whose training and test text are PAIRS, with files of links of the given content."""
    for stem in ("train", "val", "test"):
        for language, side in zip(("de", "en"), zip(*PAIRS, strict=True), strict=True):
            (folder / f"{stem}.{language}").write_text("".join(f"{line}\n" for line in side), encoding="utf-8")
    given: dict[str, str | None] = {"alignment": None, "silver": None}
    for name, content in files.items():
        (folder / name).write_text(content)
        given[name] = str(folder / name)
    return Parallel(str(folder), None, None, "de", "en", Word(1, True), 50, 1, **given)


def test_links_count_the_words_of_a_line_as_it_is_given(tmp_path: Path) -> None:
    """A blank that only Unicode knows is a word to the programs that write links, and nothing to the model."""
    vocabularies = Word(1, True).learn(PAIRS, ("de", "en"), 50)
    (tmp_path / "links").write_text("1-0 2-1\n")
    pair = ("\u00a0 Ein Mann", "A man \u00a0")
    example = Example(vocabularies[0].read(pair[0]), vocabularies[1].read(pair[1]))
    (found,) = linked([example], [pair], vocabularies, (str(tmp_path / "links"), None))
    assert found.links is not None
    assert (found.links.source, found.links.target) == ((1, 2), (0, 1))


def output(example: Example, links: dict[int, int]) -> Output:
    """Forced weights that have their peak for target token t at source token links[t]."""
    weights = np.full((len(example.target) + 1, len(example.source) + 1), 0.01)
    for t, s in links.items():
        weights[t, s] = 0.5
    weights[:, -1] = 0.9  # EOS is no word: its column counts in nothing
    return Output(example, [*example.target, EOS], weights, [*example.target, EOS], weights)


def test_from_the_file_to_the_row_by_pen_and_paper(tmp_path: Path) -> None:
    task = corpus(tmp_path, alignment="0-0 1-1 2-3 2?2\n0-0\n", silver="0-0\n0?0\n")
    first, second = sorted(task.test(), key=lambda example: -len(example.source))
    assert first.links is not None
    assert (first.links.source, first.links.target) == ((0, 1, 2, 2), (0, 1, 2, 3, 3))
    # a - ein, man - ein, is - schläft, sleeping - schläft, "." - "."; yes - ja. In words 0-0, 0-1, 2-2, 2-3; 0-0.
    outputs = [output(first, {0: 0, 1: 0, 2: 2, 3: 2, 4: 3}), output(second, {0: 0})]
    row = _row(outputs, task)
    assert row["forced/aer"] == pytest.approx(1 - (3 + 4) / (5 + 4))
    assert row["forced/aer_silver"] == pytest.approx(1 - (1 + 2) / (5 + 1))
    assert row["aer"] is None  # free decoding wrote other words than those that were linked


def test_a_fixed_context_has_no_error_and_text_without_links_none_either(tmp_path: Path) -> None:
    task = corpus(tmp_path, alignment="0-0\n0-0\n")
    row = _row([Output(example, [EOS], None, [*example.target, EOS], None) for example in task.test()], task)
    assert row["forced/aer"] is None
    assert "forced/aer_silver" not in row
    assert all(example.links is None for example in corpus(tmp_path).test())


def test_a_file_that_does_not_fit_the_test_set_is_told(tmp_path: Path) -> None:
    for content, told in (
        ("0-0\n", r"alignment has 1 lines, and the test set 2 pairs"),
        ("0-0\n0-1\n", r"alignment, line 2: link 0-1 of a pair with 1 source and 1 target words; .* from 0"),
        ("0-0\n0 0\n", r"alignment, line 2: '?0'? is not a link"),
    ):
        with pytest.raises(UserError, match=told):
            corpus(tmp_path, alignment=content)
    with pytest.raises(UserError, match="gone cannot be read"):
        linked([], [], (None, None), (str(tmp_path / "gone"), None))  # type: ignore[arg-type]
