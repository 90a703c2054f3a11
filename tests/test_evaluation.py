"""Evaluation on a test set: token accuracy, exact match, alignment, and memory."""

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
from softlookup.evaluation.evaluate import measured
from softlookup.evaluation.examined import Examined
from softlookup.evaluation.heat_maps import _heat_map
from softlookup.evaluation.outputs import Output, run_batch
from softlookup.search.greedy import Greedy
from softlookup.segmentation.bpe import Bpe
from softlookup.segmentation.word import Word
from softlookup.task.parallel import Parallel
from softlookup.text.vocabulary import EOS, UNK


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def text(folder: Path, train: list[str], test: list[str], segmentation: Segmentation) -> Parallel:
    """Build a task with these targets; each source has the same number of words."""
    for stem, lines in (("train", train), ("val", test), ("test", test)):
        (folder / f"{stem}.en").write_text("".join(f"{line}\n" for line in lines))
        (folder / f"{stem}.de").write_text("".join(f"{'a ' * len(line.split())}\n" for line in lines))
    return Parallel(
        path=str(folder), dataset=None, columns=None, source="de", target="en", segmentation=segmentation, longest=50,
        concatenate=1, alignment=None, silver=None,
    )  # fmt: skip


def outputs(task: Task, *written: list[int]) -> list[Output]:
    """Build outputs of these ids, free and teacher-forced; by default the ids of the references."""
    examples = task.test()
    ids_of_outputs = written or [[*example.target, EOS] for example in examples]
    return [
        Output(e, ids, None, (ids + [EOS] * len(e.target))[: len(e.target) + 1], None)
        for e, ids in zip(examples, ids_of_outputs, strict=True)
    ]


def row(outputs: list[Output], task: Task) -> dict[str, Any]:
    """Measure all outputs."""
    return Examined(outputs, task).row(range(len(outputs)))


def test_unknown_words_are_never_correct(tmp_path: Path) -> None:
    """Every target word occurs once: the output has only UNK, in the length of the reference."""
    lines = [" ".join(f"w{i}x{j}" for j in range(n)) for i, n in enumerate((2, 3, 5))]
    task = text(tmp_path, ["ok ok", *(line.replace("w", "v") for line in lines)], lines, Word(2, True))
    assert {index for example in task.test() for index in example.target} == {UNK}
    found = row(outputs(task), task)
    # Ten words and three EOS: only the EOS are correct.
    assert found["token_accuracy"] == found["forced/token_accuracy"] == pytest.approx(3 / 13)
    assert found["exact_match"] == 0
    assert found["bleu"] == pytest.approx(0, abs=1e-9)


def test_unknown_words_count_as_wrong_with_a_vocabulary_of_eight(tmp_path: Path) -> None:
    """Four words besides the special tokens: a dog . runs."""
    lines = ["A dog runs.", "A cat runs.", "A dog."]
    task = text(tmp_path, ["a dog runs . a dog runs . a ."], lines, Word(1, True, 8, 8))
    assert len(task.target_vocabulary) == 8
    found = row(outputs(task), task)
    # 11 words, of which `cat` is unknown, and three EOS.
    assert found["token_accuracy"] == found["forced/token_accuracy"] == pytest.approx(13 / 14)
    assert found["exact_match"] == pytest.approx(2 / 3)


def test_positions_after_a_dropped_word_are_not_counted_as_wrong_alignments() -> None:
    """A perfectly aligned output with one word dropped: every position before it is at gold."""
    task = Toy()
    example = task.draw(np.random.default_rng(0), 7)
    weights = np.eye(8)[[6, 5, 4, 3, 2, 1, 0, 7]]  # gold of a reversal, then the end
    dropped = [*example.target[:2], *example.target[3:], EOS]
    assert example.target[2] != example.target[3]
    free, forced = np.delete(weights, 2, axis=0), weights
    output = Output(example, dropped, free, [*example.target, EOS], forced)
    found = row([output], task)
    assert (found["alignment_accuracy"], found["gold_mass"], found["aer"]) == (1.0, 1.0, 0.0)
    assert (found["alignment_positions"], found["forced/alignment_positions"]) == (2, 7)
    assert found["forced/alignment_accuracy"] == found["forced/alignment_accuracy_given_right"] == 1.0
    # Positions end at the first wrong token, so free decoding has no separate figure for correct tokens.
    assert "alignment_accuracy_given_right" not in found
    gold = _heat_map(output, task, None).gold
    assert np.argwhere(gold).tolist() == [[0, 6], [1, 5]]


class Largest(TorchDispatchMode):
    """Record the number of elements of the largest tensor of any operation."""

    numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.numbers = max(self.numbers, result.numel())
        return result


def test_a_long_line_does_not_pad_the_batch_of_short_lines() -> None:
    """The largest tensor is that of the long line alone: the lookup's hidden layer, 3 numbers per pair of positions."""
    model = build_seq2seq("gru", ("transformer", {}), "additive")
    assert model is not None
    lengths = [3] * 22 + [601]
    examples = [Example((5,) * n, (7,) * n) for n in lengths]
    search = Greedy(longest_ratio=0.0, longest_extra=3)
    with Largest() as largest:
        found = [output for batch in evaluation_batches(examples) for output in run_batch(model, batch, search)]
    assert [len(output.example.source) for output in found] == lengths
    assert largest.numbers == 3 * 602 * 602


def test_a_different_segmentation_of_the_same_text_is_an_exact_match(tmp_path: Path) -> None:
    task = text(tmp_path, ["A dog runs."] * 5, ["A dog runs.", "A dog."], Bpe(300, True, True))
    whole, short = (e.target for e in task.test())
    one_by_one = [task.target_vocabulary.tokens.index(letter) for letter in "▁a▁dog▁runs."]
    assert len(one_by_one) > len(whole)
    found = row(outputs(task, [*one_by_one, EOS], [*short, short[-1], EOS]), task)
    assert found["exact_match"] == 0.5
    assert found["bleu_lowercased"] < 100


def test_trained_and_untrained_lengths_are_measured_apart_as_corpora(tmp_path: Path) -> None:
    """Sources of 2, 3 and 7 words, trained to 3: the longer one alone is beyond, and its BLEU is its own."""
    lines = ["a b", "a b a", "a b a b a b a"]
    task = text(tmp_path, ["a b", "b a"], lines, Word(2, True))
    written = outputs(task)
    written[2] = outputs(task, *[[EOS]] * 3)[2]
    trained, beyond = measured(written, task, longest=3).ranges
    assert {k: trained[k] for k in ("range", "low", "high", "count", "token_accuracy")} == {
        "range": "trained", "low": 2, "high": 3, "count": 2, "token_accuracy": 1.0,
    }  # fmt: skip
    assert (beyond["range"], beyond["low"], beyond["high"], beyond["count"]) == ("beyond", 7, 7, 1)
    assert beyond["token_accuracy"] == 0  # seven words and the end
    assert beyond["bleu"] == 0
    assert measured(written, task).ranges == []
    assert [row["range"] for row in measured(written, task, longest=7).ranges] == ["trained"]
