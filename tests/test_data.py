"""From examples to batches: nothing is lost, nothing is added, and one seed gives one stream."""

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from toy import Toy

from softlookup.batch import EVALUATION_BATCH, EVALUATION_BOUND, collate, evaluation_batches
from softlookup.contract import Batch, Example
from softlookup.curriculum.fixed import Fixed
from softlookup.curriculum.linear import Linear
from softlookup.data import Batching, Data, TrainingStream, share
from softlookup.processes import Processes
from softlookup.vocabulary import BOS, EOS, PAD


def stream(
    seed: int = 3, budget: int = 3001, batch_tokens: int = 53, linear: bool = False, **given: Any
) -> TrainingStream:
    curriculum = Linear(Toy(), until=0.5) if linear else Fixed(Toy())
    return TrainingStream(Toy(), curriculum, seed, budget, Batching(batch_tokens), **given)


def check(batch: Batch) -> None:
    """Every row is its example: EOS behind source and target, BOS before the inputs, padding after that."""
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
    drawn = task.training(generator, lambda: 13)
    examples = [next(drawn) for _ in range(2 * EVALUATION_BATCH + 1)]
    batches = evaluation_batches(examples)
    assert [len(batch.examples) for batch in batches] == [EVALUATION_BATCH, EVALUATION_BATCH, 1]
    assert Counter(example for batch in batches for example in batch.examples) == Counter(examples)
    lengths = [len(example.source) for batch in batches for example in batch.examples]
    assert lengths == sorted(lengths)
    for batch in batches:
        check(batch)


def test_a_long_example_does_not_make_a_batch_of_long_rows() -> None:
    """Usual lengths have batches of 64 as ever; rows · longest² stays under the bound, but for one row alone."""
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
def test_the_stream_gives_its_budget_to_within_one_sentence(budget: int) -> None:
    batches = list(stream(budget=budget))
    given = sum(int(batch.target_mask.sum()) for batch in batches)
    assert budget <= given < budget + 14
    for batch in batches:
        check(batch)
        # Full, or full but for its last sentence.
        assert int(batch.target_mask.sum()) < 53 + 14


def test_nothing_that_was_drawn_is_lost_on_the_way_into_batches() -> None:
    given = Counter(example for batch in stream() for example in batch.examples)
    drawn = Toy().training(np.random.default_rng(3), lambda: 13)
    first_pool = [next(drawn) for _ in range(20)]
    assert all(given[example] for example in first_pool)


@pytest.mark.parametrize("linear", [False, True])
def test_one_seed_gives_one_stream(linear: bool) -> None:
    def told(seed: int) -> list[tuple[Example, ...]]:
        return [batch.examples for batch in stream(seed, linear=linear)]

    assert told(3) == told(3)
    assert told(3) != told(5)


def test_a_stream_goes_on_where_it_was_left_in_segments() -> None:
    whole = [batch.examples for batch in stream()]
    parted = stream(segment=7)
    parts = []
    while part := [batch.examples for batch in parted]:
        parts.append(part)
    assert [len(part) for part in parts[:-1]] == [7] * (len(parts) - 1)
    assert [examples for part in parts for examples in part] == whole


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("prefetched", [0, 1])
def test_a_place_that_was_written_down_is_found_again(linear: bool, prefetched: int) -> None:
    whole = [batch.examples for batch in stream(linear=linear)]
    for behind in range(len(whole)):
        read = stream(linear=linear)
        given = [examples for examples, _ in zip((b.examples for b in read), range(behind + prefetched), strict=False)]
        assert given == whole[: behind + prefetched]
        place = json.loads(json.dumps(read.state_dict(behind)))  # plain values alone
        again = stream(linear=linear)
        again.load_state_dict(place)
        assert [batch.examples for batch in again] == whole[behind:]


@pytest.mark.parametrize("count", [2, 3])
def test_processes_share_every_batch_and_no_row_is_anybody_elses(count: int) -> None:
    whole = [batch.examples for batch in stream()]
    shares = [list(stream(processes=Processes(rank, count))) for rank in range(count)]
    for batch, *own in zip(whole, *shares, strict=True):
        counted = [e for part in own for e, mask in zip(part.examples, part.target_mask, strict=True) if mask.any()]
        assert Counter(counted) == Counter(batch)


def test_a_process_without_a_row_of_its_own_takes_part_with_padding() -> None:
    idle = share(Toy().validation()[:2], Processes(2, 3))
    assert idle.source.numel() > 0
    assert not idle.target_mask.any()


def test_the_curriculum_bounds_what_is_drawn() -> None:
    longest = [max(len(example.source) for example in batch.examples) for batch in stream(linear=True)]
    assert longest[0] == 2
    assert max(longest) == 13


def test_the_data_module_gives_the_stream_and_the_whole_validation_set() -> None:
    data = Data(stream(), Toy().validation())
    assert [batch.examples for batch in data.train_dataloader()] == [batch.examples for batch in stream()]
    shown = [example for batch in data.val_dataloader() for example in batch.examples]
    assert Counter(shown) == Counter(Toy().validation())


def test_a_batch_moves_whole() -> None:
    batch = collate(Toy().validation()).to(torch.device("meta"))
    assert {value.device.type for value in vars(batch).values() if isinstance(value, torch.Tensor)} == {"meta"}
    assert len(batch.examples) == 7
