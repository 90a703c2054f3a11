"""From examples to batches: no example is lost or added, and one seed gives one stream."""

import json
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toy import Toy

from softlookup.contract import Batch, Example
from softlookup.curriculum.fixed import Fixed
from softlookup.curriculum.linear import Linear
from softlookup.data.collate import EVALUATION_BATCH, EVALUATION_BOUND, collate, evaluation_batches
from softlookup.data.shared_pools import SharedPools
from softlookup.data.training_stream import Batching, Data, TrainingStream, share
from softlookup.system.ranks import Processes
from softlookup.text.vocabulary import BOS, EOS, PAD


def stream(
    seed: int = 3, budget: int = 3001, batch_tokens: int = 53, linear: bool = False, **settings: Any
) -> TrainingStream:
    curriculum = Linear(Toy(), until=0.5) if linear else Fixed(Toy())
    return TrainingStream(Toy(), curriculum, seed, budget, Batching(batch_tokens), **settings)


def flat(groups: Iterable[list[Batch]]) -> list[Batch]:
    return [batch for group in groups for batch in group]


def examples_of(groups: Iterable[list[Batch]]) -> list[list[tuple[Example, ...]]]:
    return [[batch.examples for batch in group] for group in groups]


def check(batch: Batch) -> None:
    """Assert that every row is its example: EOS after source and target, BOS before the inputs, then padding."""
    for b, example in enumerate(batch.examples):
        source, target = [*example.source, EOS], [*example.target, EOS]
        pads = batch.source.size(1) - len(source), batch.target.size(1) - len(target)
        assert batch.source[b].tolist() == source + [PAD] * pads[0]
        assert batch.source_mask[b].tolist() == [True] * len(source) + [False] * pads[0]
        assert batch.target[b].tolist() == target + [PAD] * pads[1]
        assert batch.inputs[b].tolist() == [BOS, *example.target] + [PAD] * pads[1]
        assert batch.target_mask[b].tolist() == [True] * len(target) + [False] * pads[1]
    assert batch.source_mask.any(0).all()
    assert batch.target_mask.any(0).all()


def test_a_batch_by_hand() -> None:
    batch = collate([Example((7, 8, 9), (5,)), Example((6,), (4, 5))])
    check(batch)
    assert batch.source.tolist() == [[7, 8, 9, EOS], [6, EOS, PAD, PAD]]
    assert batch.inputs.tolist() == [[BOS, 5, PAD], [BOS, 4, 5]]
    assert batch.target.tolist() == [[5, EOS, PAD], [4, 5, EOS]]


def test_evaluation_batches_hold_every_example_once_with_little_padding() -> None:
    task, generator = Toy(), np.random.default_rng(1)
    stream_of_examples = task.training(generator, lambda: 13)
    examples = [next(stream_of_examples) for _ in range(2 * EVALUATION_BATCH + 1)]
    batches = evaluation_batches(examples)
    assert [len(batch.examples) for batch in batches] == [EVALUATION_BATCH, EVALUATION_BATCH, 1]
    assert Counter(example for batch in batches for example in batch.examples) == Counter(examples)
    lengths = [len(example.source) for batch in batches for example in batch.examples]
    assert lengths == sorted(lengths)
    for batch in batches:
        check(batch)


def test_a_long_example_does_not_pad_a_large_batch() -> None:
    """Usual lengths keep batches of 64; rows · longest² is below the bound unless a batch has a single row."""
    usual = [Example((4,) * (n % 78 + 1), (4,) * 78) for n in range(3 * EVALUATION_BATCH)]
    long = [Example((4,) * 607, (4,) * 3), Example((4,) * 5, (4,) * 701), Example((4,) * 211, (4,) * 199)]
    batches = evaluation_batches([*long, *usual])
    assert Counter(example for batch in batches for example in batch.examples) == Counter([*usual, *long])
    for batch in batches:
        check(batch)
        longest = max(batch.source.size(1), batch.target.size(1))
        assert len(batch.examples) == 1 or len(batch.examples) * longest**2 <= EVALUATION_BOUND
    assert [len(batch.examples) for batch in evaluation_batches(usual)] == [EVALUATION_BATCH] * 3
    assert [len(batch.examples) for batch in evaluation_batches(long * 2)] == [1, 1, 2, 1, 1]


@pytest.mark.parametrize("budget", [1, 53, 54, 1009, 3001])
def test_the_stream_spends_its_budget_to_within_one_sentence(budget: int) -> None:
    batches = flat(stream(budget=budget))
    tokens_given = sum(int(batch.target_mask.sum()) for batch in batches)
    assert budget <= tokens_given < budget + 14
    for batch in batches:
        check(batch)
        # The last sentence of a batch may exceed its limit.
        assert int(batch.target_mask.sum()) < 53 + 14


def test_no_sampled_example_is_lost_in_batching() -> None:
    given = Counter(example for batch in flat(stream()) for example in batch.examples)
    stream_of_examples = Toy().training(np.random.default_rng(3), lambda: 13)
    first_pool = [next(stream_of_examples) for _ in range(20)]
    assert all(given[example] for example in first_pool)


@pytest.mark.parametrize("linear", [False, True])
def test_one_seed_gives_one_stream(linear: bool) -> None:
    assert examples_of(stream(3, linear=linear)) == examples_of(stream(3, linear=linear))
    assert examples_of(stream(3, linear=linear)) != examples_of(stream(5, linear=linear))


def tokens(group: list[Batch]) -> int:
    return sum(int(batch.target_mask.sum()) for batch in group)


@pytest.mark.parametrize("validations", [1, 5, 12, 13])
@pytest.mark.parametrize("accumulate", [1, 3])
def test_the_stream_pauses_at_the_end_of_every_equal_share_of_the_budget(validations: int, accumulate: int) -> None:
    whole = [batch.examples for batch in flat(stream())]
    parted = stream(validations=validations, accumulate=accumulate)
    parts = []
    while part := list(parted):
        parts.append(part)
    assert [batch.examples for part in parts for batch in flat(part)] == whole
    assert len(parts) == validations
    seen = 0
    for number, part in enumerate(parts, 1):
        seen += sum(map(tokens, part))
        end = 3001 * number / validations
        assert seen >= end > seen - tokens(part[-1])  # pause after the first step that reaches the end of a share


def test_a_step_that_crosses_several_shares_makes_one_pause() -> None:
    """A budget of 101 in batches of at least 53 tokens: two steps for seven shares."""
    parted = stream(budget=101, validations=7)
    parts = []
    while part := list(parted):
        parts.append(len(part))
    assert parts == [1, 1]


def test_a_step_has_accumulate_batches_and_the_last_one_the_rest() -> None:
    whole = [batch.examples for batch in flat(stream())]
    groups = [[batch.examples for batch in group] for group in stream(accumulate=7)]
    assert [examples for group in groups for examples in group] == whole
    *sizes, last = map(len, groups)
    assert set(sizes) == {7}
    assert last == len(whole) % 7 > 0


@pytest.mark.parametrize(("linear", "accumulate"), [(False, 1), (True, 1), (True, 5)])
@pytest.mark.parametrize("prefetched", [0, 1])
def test_a_saved_position_is_restored(linear: bool, prefetched: int, accumulate: int) -> None:
    whole = examples_of(stream(linear=linear, accumulate=accumulate))
    for position in range(len(whole) + 1):
        read = stream(linear=linear, accumulate=accumulate)
        given = examples_of(islice(read, position + prefetched))
        assert given == whole[: position + prefetched]
        state = json.loads(json.dumps(read.state_dict(position)))  # only plain values
        again = stream(linear=linear, accumulate=accumulate)
        again.load_state_dict(state)
        assert examples_of(again) == whole[position:]


def test_a_saved_position_is_restored_when_a_step_is_larger_than_a_pool() -> None:
    """Five batches per step, two per pool."""

    def small() -> TrainingStream:
        return TrainingStream(Toy(), Fixed(Toy()), 3, 1009, Batching(31, pool=2), accumulate=5)

    whole = examples_of(small())
    for position in range(len(whole) + 1):
        for prefetched in (0, 1):
            read, again = small(), small()
            assert examples_of(islice(read, position + prefetched)) == whole[: position + prefetched]
            again.load_state_dict(json.loads(json.dumps(read.state_dict(position))))
            assert examples_of(again) == whole[position:]


@pytest.mark.parametrize(("accumulate", "pool"), [(1, 4), (3, 4), (5, 2)])
def test_a_larger_budget_continues_from_the_last_step_that_is_common_to_both(accumulate: int, pool: int) -> None:
    """For budgets of all remainders: the steps before and after that step equal those of the larger budget."""

    def with_budget(budget: int) -> TrainingStream:
        return TrainingStream(Toy(), Fixed(Toy()), 3, budget, Batching(53, pool=pool), accumulate=accumulate)

    larger = examples_of(with_budget(3001))
    continuations = set()
    for budget in range(701, 701 + 53 * pool * accumulate, 11):
        read = with_budget(budget)
        given = examples_of(read)
        steps = read.lasting
        assert steps is not None
        assert given[:steps] == larger[:steps]
        assert (len(given) - steps - 1) * accumulate <= pool + accumulate  # little more than a pool is repeated
        continuations.add(steps)
        # As a run uses it: after that step, with or without the next one prefetched.
        for prefetched in (0, 1):
            read, again = with_budget(budget), with_budget(3001)
            list(islice(read, steps + prefetched))
            if prefetched and steps < len(given):
                assert read.lasting == steps  # known before the next step is trained
            again.load_state_dict(json.loads(json.dumps(read.state_dict(steps))))
            assert examples_of(again) == larger[steps:]
    assert len(continuations) > 1


@pytest.mark.parametrize("count", [2, 3])
def test_processes_share_every_batch_without_overlap(count: int) -> None:
    whole = [batch.examples for batch in flat(stream())]
    shares = [flat(stream(processes=Processes(rank, count))) for rank in range(count)]
    for batch, *parts in zip(whole, *shares, strict=True):
        real_rows = [e for part in parts for e, mask in zip(part.examples, part.target_mask, strict=True) if mask.any()]
        assert Counter(real_rows) == Counter(batch)


def test_a_process_without_a_row_gets_padding() -> None:
    idle = share(Toy().validation()[:2], Processes(2, 3))
    assert idle.source.numel() > 0
    assert not idle.target_mask.any()


def test_the_curriculum_limits_the_lengths() -> None:
    longest = [max(len(example.source) for example in batch.examples) for batch in flat(stream(linear=True))]
    assert longest[0] == 2
    assert max(longest) == 13


def test_the_data_module_gives_the_stream_and_the_whole_validation_set() -> None:
    data = Data(stream(), Toy().validation())
    assert [batch.examples for batch in flat(data.train_dataloader())] == [batch.examples for batch in flat(stream())]
    validation = [example for batch in data.val_dataloader() for example in batch.examples]
    assert Counter(validation) == Counter(Toy().validation())


def test_a_batch_moves_to_a_device_with_all_tensors_but_its_lengths() -> None:
    batch = collate(Toy().validation())
    assert torch.equal(batch.lengths, batch.source_mask.sum(1))
    moved = batch.to(torch.device("meta"))
    tensors = {name: value for name, value in vars(moved).items() if isinstance(value, torch.Tensor)}
    assert {name for name, value in tensors.items() if value.device.type != "meta"} == {"lengths"}
    assert len(moved.examples) == 7


class Counted(Toy):
    """Count the examples that are drawn."""

    def __init__(self) -> None:
        self.drawn = 0

    def draw(self, generator: np.random.Generator, length: int) -> Example:
        self.drawn += 1
        return super().draw(generator, length)


def test_runs_share_pools_and_give_the_same_batches(tmp_path: Path) -> None:
    """Of two streams with one seed only the first draws; a damaged file, another seed and another task cost drawing."""

    def read(source: str = "toy", seed: int = 3) -> tuple[list[list[tuple[Example, ...]]], int]:
        task = Counted()
        pools = SharedPools(tmp_path, source)
        budget, batching = 3001, Batching(53)
        return examples_of(TrainingStream(task, Linear(task, 0.5), seed, budget, batching, pools=pools)), task.drawn

    alone = examples_of(stream(linear=True))
    first, second = read(), read()
    assert first[0] == second[0] == alone
    assert (first[1], second[1]) == (sum(len(batch) for group in alone for batch in group), 0)
    for file in tmp_path.iterdir():
        file.write_bytes(file.read_bytes()[:-1] + b"\0")
    assert read() == first
    assert read() == (alone, 0)
    assert read(source="another")[1] == first[1]
    assert read(seed=5)[0] == examples_of(stream(5, linear=True))


def test_a_shared_pool_ends_with_its_own_budget(tmp_path: Path) -> None:
    for budget in (1009, 3001, 1010):
        whole = examples_of(stream(budget=budget))
        shared = stream(budget=budget, pools=SharedPools(tmp_path, "toy"))
        groups = iter(shared)
        assert examples_of(islice(groups, 7)) == whole[:7]
        again = stream(budget=budget, pools=SharedPools(tmp_path, "toy"))
        again.load_state_dict(shared.state_dict(7))
        assert examples_of(again) == examples_of(groups) == whole[7:]
