"""Stream training batches, resumable after any step."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, IterableDataset

from softlookup.contract import Batch, Curriculum, Example, Task
from softlookup.data.budget_shares import Cadence
from softlookup.data.collate import collate, evaluation_batches
from softlookup.data.shared_pools import SHARED, Drawn, SharedPools
from softlookup.errors import UserError
from softlookup.system.memory import collector_off
from softlookup.system.ranks import ALONE, Processes


def share(examples: Sequence[Example], processes: Processes) -> Batch:
    """Return this rank's rows of a batch. A rank without rows gets one row whose target is masked: it takes part in the
    step, but contributes nothing."""
    rows = processes.share(examples)
    if rows:
        return collate(rows)
    idle = collate(examples[:1])
    return replace(idle, target_mask=torch.zeros_like(idle.target_mask), places=idle.places[:0])


@dataclass(frozen=True)
class Batching:
    """Batch size: either about `tokens` target tokens (with EOS, without padding), or `sentences`.

    Examples are drawn for `pool` batches at once and sorted by length to reduce padding: Bahdanau et al. 2014, appendix
    B.2, use batches of 80 sentences and pools of 20 batches. Raises UserError unless exactly one size is set.
    """

    tokens: int | None = 1024
    sentences: int | None = None
    pool: int = 16

    def __post_init__(self) -> None:
        if (self.tokens is None) == (self.sentences is None):
            raise UserError(
                f"batch_tokens={self.tokens}, batch_sentences={self.sentences}: a batch has one size; set one of them, "
                "and the other to null"
            )

    def full(self, sentences: int, tokens: float, batches: int = 1) -> bool:
        """Return whether `sentences` with `tokens` target tokens fill `batches` batches."""
        if self.tokens is not None:
            return tokens >= self.tokens * batches
        assert self.sentences is not None
        return sentences >= self.sentences * batches

    def target_tokens(self, examples: Sequence[Example]) -> float:
        """Estimate the target tokens of a batch of such examples."""
        if self.tokens is not None:
            return self.tokens
        assert self.sentences is not None
        return self.sentences * float(np.mean([len(example.target) + 1 for example in examples]))


class TrainingStream(IterableDataset):
    """Training batches up to `budget` target tokens (with EOS, without padding).

    The curriculum's limit is evaluated at the consumed share of the budget whenever a pool of batches is drawn, so the
    lengths follow the limit with that delay. The last batch is shorter, so that all runs with the same budget see the
    same number of target tokens to within one sentence. All randomness comes from `seed`: the data does not depend on
    the model.

    A pool ends where a pass over a corpus ends, so that every sentence is shown once per pass. Passes so small that
    several fit into a batch (a small corpus, or a low limit) share a pool, as many whole passes as fill a batch:
    otherwise each pass would make a small batch.

    The stream yields groups of `accumulate` batches, one group per step; the last may have fewer. An iteration ends
    after the step that crosses the end of one or more of the `validations` equal shares of the budget, and the next
    iteration continues there. `state_dict` returns the position after a given number of steps, also if later ones were
    prefetched. With several `processes`, each rank gets its own rows of every batch. Pools that another run has drawn
    are read from `pools`.
    """

    def __init__(
        self,
        task: Task,
        curriculum: Curriculum,
        seed: int,
        budget: int,
        batching: Batching,
        validations: int = 1,
        processes: Processes = ALONE,
        accumulate: int = 1,
        pools: SharedPools | None = None,
    ) -> None:
        self.curriculum = curriculum
        self.budget = budget
        self.batching = batching
        self.cadence = Cadence(budget, validations)
        self.processes = processes
        self.accumulate = accumulate
        self.pools = pools or SharedPools()
        self._generator = np.random.default_rng(seed)
        self._limit = 0
        self._examples = task.training(self._generator, lambda: self._limit)
        self._given = 0
        self._batches = 0
        self._pool: list[list[Example]] = []
        self._next = 0
        # States at which pools were drawn, back to the pool of the last step that was yielded: it may be prefetched.
        self._places: list[dict[str, Any]] = []
        self._short: int | None = None  # number of batches before the pool that the end of the budget cut short

    def __iter__(self) -> Iterator[list[Batch]]:
        while self._given < self.budget:
            before = self.cadence.passed(self._given)
            past = [place for place in self._places if place["batches"] <= self._batches]
            self._places = self._places[max(0, len(past) - 1) :]
            group = [self._batch()]
            while len(group) < self.accumulate and self._given < self.budget:
                group.append(self._batch())
            yield group
            if self.cadence.passed(self._given) > before:
                return

    @property
    def lasting(self) -> int | None:
        """Return the number of first steps that are the same with a larger budget; None while it is not known."""
        if self._short is None and self._given < self.budget:
            return None
        return (self._batches if self._short is None else self._short) // self.accumulate

    def _batch(self) -> Batch:
        if self._next == len(self._pool):
            self._draw_pool(self.curriculum.length(self._given / self.budget))
        batch = self._pool[self._next]
        self._next += 1
        self._batches += 1
        self._given += sum(len(example.target) + 1 for example in batch)
        return share(batch, self.processes)

    def state_dict(self, steps: int) -> dict[str, Any]:
        """Return the position after the first `steps` as plain values; `steps` is the number of steps yielded, or one
        less if a step was prefetched."""
        batches = min(steps * self.accumulate, self._batches)  # only the very last step has fewer
        place = [place for place in self._places if place["batches"] <= batches][-1:]
        return {"place": place[0] if place else None, "batches": batches}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved position; the curriculum must have the state it had there; the budget may be larger.
        Raises UserError where other examples are drawn there now."""
        place = state["place"]
        if place is None:
            return
        self._generator.bit_generator.state = place["generator"]
        self._examples.load_state_dict(place["examples"])
        self._batches, self._given = place["batches"], place["given"]
        if _digest(self._draw_pool(place["limit"])[: place["count"]]) != place["digest"]:
            raise UserError(
                "the training examples are not those that the checkpoint was made with; delete the run's folder"
            )
        for batch in self._pool[: state["batches"] - place["batches"]]:
            self._given += sum(len(example.target) + 1 for example in batch)
        self._batches = state["batches"]
        self._next = state["batches"] - place["batches"]

    def _draw_pool(self, limit: int) -> Sequence[Example]:
        """Draw the next pool, and return its examples in the order drawn, which a larger budget only extends."""
        self._limit = limit
        place: dict[str, Any] = {"batches": self._batches, "given": self._given, "limit": limit}
        place |= {"generator": dict(self._generator.bit_generator.state), "examples": self._examples.state_dict()}
        self._places.append(place)
        with collector_off():
            pool, cut = self._shared(place)
        self._short = self._batches if cut else None
        place |= {"count": len(pool), "digest": _digest(pool)}
        self._pool = self._cut(pool)
        self._generator.shuffle(self._pool)
        self._next = 0
        return pool

    def _shared(self, place: dict[str, Any]) -> tuple[Sequence[Example], bool]:
        """Return what `_drawn` returns, from another run if it has drawn it: then random generator and examples
        continue as after drawing it."""
        left = self.budget - self._given
        if self._given >= SHARED:
            return self._drawn(left)
        # Everything that the pool depends on.
        before = (place["generator"], place["examples"], place["limit"], self.batching, left)
        found = self.pools.read(before)
        if found is None:
            pool, cut = self._drawn(left)
            after = dict(self._generator.bit_generator.state), self._examples.state_dict()
            self.pools.write(before, Drawn(pool, cut, *after))
            return pool, cut
        self._generator.bit_generator.state = found.generator
        self._examples.load_state_dict(found.state)
        return found.examples, found.cut

    def _drawn(self, left: int) -> tuple[list[Example], bool]:
        """Draw the examples of a pool, stopping once `left` target tokens are reached; return them and whether that
        limit ended the pool."""
        pool: list[Example] = []
        tokens = 0
        whole = self._examples.between_passes()
        first: tuple[int, int] | None = None
        while tokens < left and not self.batching.full(len(pool), tokens, self.batching.pool):
            pool.append(next(self._examples))
            tokens += len(pool[-1].target) + 1
            if self._examples.between_passes():
                # The length limit is constant within a pool, so the next pass is as large as the first one.
                first = first or (len(pool), tokens)
                if not whole or self.batching.full(len(pool) + first[0], tokens + first[1]):
                    return pool, False
        return pool, not self.batching.full(len(pool), tokens, self.batching.pool)

    def _cut(self, pool: Sequence[Example]) -> list[list[Example]]:
        """Sort examples by length, and divide them into batches."""
        batches: list[list[Example]] = []
        tokens = 0
        # By target length first: padding costs time in the decoder, but not in a packed encoder.
        for example in sorted(pool, key=lambda example: (len(example.target), len(example.source))):
            if not batches or self.batching.full(len(batches[-1]), tokens):
                batches.append([])
                tokens = 0
            batches[-1].append(example)
            tokens += len(example.target) + 1
        return batches


def _digest(examples: Sequence[Example]) -> str:
    return hashlib.sha256(repr([(example.source, example.target) for example in examples]).encode()).hexdigest()


class Data(pl.LightningDataModule):
    """Lightning data module: the training stream, a group of batches for each step, and the fixed validation set.

    Each rank has its own rows of a training batch and its own batches of the validation set.
    """

    def __init__(self, stream: TrainingStream, validation: Sequence[Example]) -> None:
        super().__init__()
        self.stream = stream
        self.validation = stream.processes.share(evaluation_batches(validation))

    def transfer_batch_to_device(
        self,
        batch: Batch | list[Batch],
        device: torch.device,
        dataloader_idx: int,  # noqa: ARG002
    ) -> Batch | list[Batch]:
        return [one.to(device) for one in batch] if isinstance(batch, list) else batch.to(device)

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.stream, batch_size=None)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.validation, batch_size=None)  # type: ignore[arg-type]
