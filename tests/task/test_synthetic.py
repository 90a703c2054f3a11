"""Generated tasks: targets and gold alignments by hand, and the contract of all of them."""

from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import yaml
from hydra.utils import instantiate

from softlookup.contract import Example
from softlookup.errors import UserError
from softlookup.task.copy import Copy
from softlookup.task.fertility import Fertility
from softlookup.task.recall import Recall
from softlookup.task.reverse import Reverse
from softlookup.task.select import Select
from softlookup.task.shift import Shift
from softlookup.task.sort import Sort
from softlookup.task.swap import Swap
from softlookup.task.synthetic import Strings, Synthetic, Uniforms, letters
from softlookup.text.vocabulary import UNK

CONF = Path(__file__).parents[2] / "conf" / "task"
COPIES = ("copy", "reverse", "sort", "shift", "swap", "select", "fertility", "recall")
ALL = (*COPIES, "grammar")


@pytest.fixture(scope="module", params=ALL)
def task(request: pytest.FixtureRequest) -> Synthetic:
    return instantiate(yaml.safe_load((CONF / f"{request.param}.yaml").read_text(encoding="utf-8")))


def sample(task: Synthetic, seed: int, amount: int, limit: int = 99) -> list[Example]:
    return list(islice(task.training(np.random.default_rng(seed), lambda: limit), amount))


def solved(task: Strings, source: str) -> tuple[str, list[set[int]], list[set[int]]]:
    """Return target, sure and possible positions of a source given in words."""
    ids = task.source_vocabulary.encode(source.split())
    assert UNK not in ids
    example = task.example(ids)
    words = " ".join(task.target_vocabulary.decode(example.target))
    return words, [set(row) for row in example.sure], [set(row) for row in example.possible]


@pytest.mark.parametrize(
    ("make", "source", "target", "sure"),
    [
        (lambda: Copy(20, 3, 7), "a d b", "a d b", [{0}, {1}, {2}]),
        (lambda: Reverse(20, 3, 7), "a d b", "b d a", [{2}, {1}, {0}]),
        (lambda: Sort(20, 3, 7), "d a d b", "a b d d", [{1}, {3}, {0, 2}, {0, 2}]),
        (lambda: Shift(20, 3, 7, by=2), "a b c d e", "c d e a b", [{2}, {3}, {4}, {0}, {1}]),
        (lambda: Shift(20, 3, 7, by=-1), "a b c", "c a b", [{2}, {0}, {1}]),
        (lambda: Swap(20, 3, 7), "a b c d e", "b a d c e", [{1}, {0}, {3}, {2}, {4}]),
        (lambda: Select(20, 3, 7), "a b* c d* b*", "b d b", [{1}, {3}, {4}]),
        (lambda: Fertility(20, 3, 7), "d a b c f", "d d d b c c f", [{0}, {0}, {0}, {2}, {3}, {3}, {4}]),
    ],
)
def test_targets_and_gold_by_hand(make: Callable[[], Strings], source: str, target: str, sure: list[set[int]]) -> None:
    assert solved(make(), source) == (target, sure, sure)


def test_recall_by_hand() -> None:
    words, sure, possible = solved(Recall(31, 17, 4, 7), "k3 v1 k7 v4 | k7 k3 k7")
    assert words == "v4 v1 v4"
    assert sure == [{3}, {1}, {3}]
    assert possible == [{2, 3, 5}, {0, 1, 6}, {2, 3, 7}]


@pytest.mark.parametrize("length", [4, 5, 6, 7, 8, 9, 23])
def test_recall_has_distinct_keys_and_queries_only_these(length: int) -> None:
    task = Recall(31, 17, 4, 7)
    example = task.sample(Uniforms(np.random.default_rng(length)).draw, length)
    words = task.source_vocabulary.decode(example.source)
    pairs, queries = words[: words.index("|")], words[words.index("|") + 1 :]
    assert len(words) == length
    assert len(pairs) == 2 * (length // 3)
    assert len(set(pairs[::2])) == len(pairs[::2])
    assert set(queries) <= set(pairs[::2])
    assert queries


@pytest.mark.parametrize("name", COPIES)
def test_every_target_symbol_occurs_at_each_of_its_gold_positions(name: str) -> None:
    task = instantiate(yaml.safe_load((CONF / f"{name}.yaml").read_text(encoding="utf-8")))
    for example in sample(task, 3, 211):
        source = task.source_vocabulary.decode(example.source)
        for word, positions in zip(task.target_vocabulary.decode(example.target), example.sure, strict=True):
            assert positions
            assert {source[position].rstrip("*") for position in positions} == {word}


def test_examples_are_well_formed(task: Synthetic) -> None:
    for example in [*sample(task, 5, 499), *task.validation(), *task.test()]:
        assert example.target
        assert UNK not in example.source + example.target
        assert len(example.sure) == len(example.possible) == len(example.target)
        for sure, possible in zip(example.sure, example.possible, strict=True):
            assert sure <= possible <= set(range(len(example.source)))


def test_one_seed_gives_one_stream_and_held_out_sets_do_not_depend_on_it(task: Synthetic) -> None:
    assert sample(task, 7, 101) == sample(task, 7, 101)
    assert sample(task, 7, 101) != sample(task, 11, 101)
    again = type(task)(**{key: value for key, value in settings(task).items() if key != "_target_"})
    assert (again.validation(), again.test()) == (task.validation(), task.test())


def settings(task: Synthetic) -> dict[str, object]:
    return yaml.safe_load((CONF / f"{type(task).__name__.lower()}.yaml").read_text(encoding="utf-8"))


def test_training_validation_and_test_share_no_source(task: Synthetic) -> None:
    held_out = [example.source for example in [*task.validation(), *task.test()]]
    assert len(set(held_out)) == len(held_out)
    assert not set(held_out) & {example.source for example in sample(task, 13, 2003)}


def test_unseen_examples_never_occur_in_training(task: Synthetic) -> None:
    shortest, longest = task.lengths
    held_out = {e.source for e in (*task.validation(), *task.test())}
    for length in (shortest, longest):
        found = task.unseen(length, 13)
        assert found
        assert {e.source for e in found} <= held_out
        assert {len(e.source) for e in found} == {length}
    beyond = longest + 1
    found = task.unseen(beyond, 13)
    assert len({e.source for e in found} - held_out) == 13
    assert {len(e.source) for e in found} == {beyond}
    again = type(task)(**{key: value for key, value in settings(task).items() if key != "_target_"})
    assert found == again.unseen(beyond, 13)
    with pytest.raises(UserError, match=f"length {shortest - 1}: the shortest sources of this task have"):
        task.unseen(shortest - 1, 13)


def test_training_lengths_are_uniform_up_to_the_current_limit(task: Synthetic) -> None:
    shortest, longest = task.lengths
    counts = Counter(len(example.source) for example in sample(task, 17, 2003))
    assert set(counts) == set(range(shortest, longest + 1))
    assert max(counts.values()) < 2 * min(counts.values())
    assert {len(example.source) for example in sample(task, 17, 53, limit=1)} == {shortest}
    limits = iter([shortest, shortest + 1, shortest] * 31)
    examples = task.training(np.random.default_rng(19), lambda: next(limits))
    lengths = [len(example.source) for example in islice(examples, 93)]
    assert set(lengths[0::3]) | set(lengths[2::3]) == {shortest}
    assert set(lengths[1::3]) == {shortest, shortest + 1}


def test_held_out_sets_cover_their_lengths(task: Synthetic) -> None:
    shortest, longest = task.lengths
    counts = Counter(len(example.source) for example in task.validation())
    assert set(counts) == set(range(shortest, longest + 1))
    assert len(set(counts.values())) == 1
    assert 200 <= len(task.validation()) < 200 + len(counts)
    lengths = [len(example.source) for example in task.test()]
    inside = [sum(low <= length <= high for length in lengths) for low, high in task.buckets]
    assert sum(inside) == len(lengths)
    assert 60 <= min(inside) <= max(inside) <= 100


def test_buckets_are_the_grid_of_test_lengths() -> None:
    assert [low for low, _ in Copy(20, 3, 10).buckets] == [5, 10, 15, 20, 30, 40]
    assert [low for low, _ in Copy(20, 3, 5).buckets] == [3, 5, 7, 10, 15, 20]


def test_tokens_are_readable() -> None:
    assert letters(3) == ["a", "b", "c"]
    assert letters(27)[-1] == "s26"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Copy(2, 3, 7), r"only 8 sources of 3 tokens.*raise task\.shortest or the number of symbols"),
        (lambda: Copy(20, 7, 3), r"task\.shortest=7 task\.longest=3"),
        (lambda: Copy(20, 0, 3), r"task\.shortest=0"),
        (lambda: Fertility(3, 3, 7), r"task\.symbols=3: expected at least 4"),
        (lambda: Recall(8, 5, 4, 10), r"give task\.keys=13"),
        (lambda: Recall(32, 16, 3, 10), r"task\.shortest=3"),
    ],
)
def test_impossible_settings_are_rejected_at_construction(make: Callable[[], Synthetic], words: str) -> None:
    with pytest.raises(UserError, match=words):
        make()


@pytest.mark.parametrize("make", [Copy, Select, Fertility])
def test_the_number_of_sources_is_correct(make: Callable[[int, int, int], Strings]) -> None:
    # Sources of one token are few enough to enumerate by sampling.
    task = make(23, 3, 7)
    uniform = Uniforms(np.random.default_rng(29)).draw
    assert len({task.draw(uniform, 1) for _ in range(2003)}) == task.sources(1)
