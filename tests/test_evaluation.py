"""The test set through a model: what counts as right, as exact, as aligned, and what it takes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from choices import build_seq2seq
from torch.utils._python_dispatch import TorchDispatchMode
from toy import Toy

from softlookup.contract import Example, Segmentation, Task
from softlookup.data.collate import evaluation_batches
from softlookup.evaluation.evaluate import Output, _heat_map, _row, run_batch
from softlookup.search.greedy import Greedy
from softlookup.segmentation.bpe import Bpe
from softlookup.segmentation.word import Word
from softlookup.task.parallel import Parallel
from softlookup.text.vocabulary import EOS, UNK


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def text(folder: Path, train: list[str], test: list[str], segmentation: Segmentation) -> Parallel:
    """A task with these targets; sources have as many words."""
    for stem, lines in (("train", train), ("val", test), ("test", test)):
        (folder / f"{stem}.en").write_text("".join(f"{line}\n" for line in lines))
        (folder / f"{stem}.de").write_text("".join(f"{'a ' * len(line.split())}\n" for line in lines))
    return Parallel(
        path=str(folder), dataset=None, columns=None, source="de", target="en", segmentation=segmentation, longest=50,
        concatenate=1, alignment=None, silver=None,
    )  # fmt: skip


def outputs(task: Task, *written: list[int]) -> list[Output]:
    """As if the model had written these ids, freely and under teacher forcing; without any, the reference's."""
    examples = task.test()
    told = written or [[*example.target, EOS] for example in examples]
    return [
        Output(e, ids, None, (ids + [EOS] * len(e.target))[: len(e.target) + 1], None)
        for e, ids in zip(examples, told, strict=True)
    ]


def test_words_that_are_all_unknown_are_never_right(tmp_path: Path) -> None:
    """Every target word occurs once: what a model gets by writing unknowns alone, as many as the reference has."""
    lines = [" ".join(f"w{i}x{j}" for j in range(n)) for i, n in enumerate((2, 3, 5))]
    task = text(tmp_path, ["ok ok", *(line.replace("w", "v") for line in lines)], lines, Word(2, True))
    assert {index for example in task.test() for index in example.target} == {UNK}
    found = _row(outputs(task), task)
    # Ten words and three ends: the ends alone are right.
    assert found["token_accuracy"] == found["forced/token_accuracy"] == pytest.approx(3 / 13)
    assert found["exact_match"] == 0
    assert found["bleu"] == pytest.approx(0, abs=1e-9)


def test_a_vocabulary_of_eight(tmp_path: Path) -> None:
    """Four words besides the specials: a dog . runs."""
    lines = ["A dog runs.", "A cat runs.", "A dog."]
    task = text(tmp_path, ["a dog runs . a dog runs . a ."], lines, Word(1, True, 8, 8))
    assert len(task.target_vocabulary) == 8
    found = _row(outputs(task), task)
    # 11 words, of which `cat` is unknown, and three ends.
    assert found["token_accuracy"] == found["forced/token_accuracy"] == pytest.approx(13 / 14)
    assert found["exact_match"] == pytest.approx(2 / 3)


def test_a_dropped_word_does_not_make_what_stands_behind_it_a_wrong_look() -> None:
    """A reader that looks at each word that it writes, and leaves one out: every look before it is at gold."""
    task = Toy()
    example = task.draw(np.random.default_rng(0), 7)
    looks = np.eye(8)[[6, 5, 4, 3, 2, 1, 0, 7]]  # gold of a reversal, then the end
    dropped = [*example.target[:2], *example.target[3:], EOS]
    assert example.target[2] != example.target[3]
    free, forced = np.delete(looks, 2, axis=0), looks
    output = Output(example, dropped, free, [*example.target, EOS], forced)
    found = _row([output], task)
    assert (found["alignment_accuracy"], found["gold_mass"], found["aer"]) == (1.0, 1.0, 0.0)
    assert (found["alignment_positions"], found["forced/alignment_positions"]) == (2, 7)
    assert found["forced/alignment_accuracy"] == found["forced/alignment_accuracy_given_right"] == 1.0
    # Of each token that is right there is a look already: free decoding has no such figure of its own.
    assert "alignment_accuracy_given_right" not in found
    gold = _heat_map(output, task).gold
    assert np.argwhere(gold).tolist() == [[0, 6], [1, 5]]


class Largest(TorchDispatchMode):
    """Remembers how many numbers the largest tensor has that anything makes."""

    numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor):
            self.numbers = max(self.numbers, made.numel())
        return made


def test_one_long_line_takes_the_memory_of_one_long_line() -> None:
    """Not that of a batch padded to its length: the hidden layer of a lookup has three numbers a pair of positions."""
    model = build_seq2seq("gru", ("transformer", {}), "additive")
    assert model is not None
    lengths = [3] * 22 + [601]
    examples = [Example((5,) * n, (7,) * n) for n in lengths]
    search = Greedy(longest_ratio=0.0, longest_extra=3)
    with Largest() as largest:
        found = [output for batch in evaluation_batches(examples) for output in run_batch(model, batch, search)]
    assert [len(output.example.source) for output in found] == lengths
    assert largest.numbers == 3 * 602 * 602


def test_another_segmentation_of_the_same_text_is_exact(tmp_path: Path) -> None:
    task = text(tmp_path, ["A dog runs."] * 5, ["A dog runs.", "A dog."], Bpe(300, True, True))
    whole, short = (e.target for e in task.test())
    one_by_one = [task.target_vocabulary.tokens.index(letter) for letter in "▁a▁dog▁runs."]
    assert len(one_by_one) > len(whole)
    found = _row(outputs(task, [*one_by_one, EOS], [*short, short[-1], EOS]), task)
    assert found["exact_match"] == 0.5
    assert found["bleu_lowercased"] < 100
