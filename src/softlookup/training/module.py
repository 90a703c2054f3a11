"""Define the LightningModule: loss, optimizer, validation and logged values."""

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import ParallelStrategy
from torch import Tensor
from torchmetrics import MeanMetric

from softlookup.contract import Batch, Curriculum
from softlookup.data.budget_shares import Cadence
from softlookup.model.seq2seq import Seq2Seq
from softlookup.model.training_step import Recipe, require_finite, update
from softlookup.system.ranks import ALONE, Processes
from softlookup.system.seeds import derived_seed, seed_everything
from softlookup.training.early_stopping import Watch
from softlookup.training.unread import UnreadSteps
from softlookup.training.validation_counts import Counts
from softlookup.training.weight_averaging import Average


def _mean() -> MeanMetric:
    """Make a mean that is not synchronized: every process updates it with the values of all processes."""
    return MeanMetric(sync_on_compute=False)


def do_nothing(training: "Training") -> None:
    """Do nothing at a safe point."""


class Training(pl.LightningModule):
    """Train by maximum likelihood under teacher forcing: loss = −Σ log p(y_t | y_<t, x) over unpadded target positions,
    divided by the number of tokens or of sentences and smoothed, as `plan` says. The logged loss is the mean per token.

    `budget` is the number of target tokens to see; learning rate and curriculum follow the share of it that is spent.
    The random numbers of a step depend only on `seed` and the number of the step. `emit` receives one flat record (JSON
    scalars) per validation. `on_safe_point` is called after every step and after every validation: `run_state` then
    returns everything that training needs to continue from there. A loss that is not finite raises FloatingPointError
    with the step, on a GPU up to `unread.MOST` steps later, but before a validation or a checkpoint of weights that it
    changed. `average` is the number of last validations whose weights are averaged; `validations` are at equal
    shares of the budget. Steps are taken by `update`; a Lightning batch is the list of batches of one step. `watch`
    observes every validation, and may end the run before its budget; `further` measures more of a model than loss and
    accuracy, under `validation/…`.
    """

    running_loss: MeanMetric

    def __init__(
        self,
        model: Seq2Seq,
        plan: Recipe,
        curriculum: Curriculum,
        budget: int,
        emit: Callable[[dict[str, Any]], None],
        seed: int = 0,
        processes: Processes = ALONE,
        validations: int = 1,
        average: int = 0,
        watch: Watch | None = None,
        further: Callable[[Seq2Seq], dict[str, float]] = lambda _: {},
    ) -> None:
        super().__init__()
        self.automatic_optimization = False  # `update` takes whole steps, also outside Lightning
        self.model = model
        self.plan = plan
        self.cadence = Cadence(budget, validations)
        self.average = Average(average, validations)
        self.watch = watch or Watch()
        self.further = further
        self.validates_final = False  # whether the final weights are being validated, after all steps
        self.curriculum = curriculum
        self.budget = budget
        self.emit = emit
        self.seed = seed
        self.processes = processes
        self.on_safe_point: Callable[[Training], None] = do_nothing
        self.steps = 0
        self.tokens = 0
        self.padding = 0
        self.limit = curriculum.length(0.0)
        self.lengths: list[dict[str, int]] = [{"length": self.limit, "step": 0, "tokens": 0}]
        self.step_seconds: list[float] = []
        self.step_tokens: list[int] = []
        self.last_loss = math.nan
        # Not a submodule, which would move to the GPU: it checks every number that it gets.
        object.__setattr__(self, "running_loss", _mean())
        self.running_loss.persistent(True)
        self._unread = UnreadSteps()
        self.by_length: dict[int, float] = {}
        self.last_validation: dict[str, float] = {}
        self.validations = 0
        self.validated_at = 0
        self._counts = Counts()
        self._optimizer: torch.optim.Optimizer | None = None
        self._resumed: dict[str, Any] | None = None
        self._began = time.perf_counter()

    @property
    def due(self) -> bool:
        """Return whether a share of the budget was completed since the last validation."""
        return self.cadence.passed(self.tokens) > self.cadence.passed(self.validated_at)

    @property
    def over(self) -> bool:
        """Return whether training is complete: the budget is spent, or patience has run out."""
        return self.tokens >= self.budget or self.watch.over

    @property
    def progress_share(self) -> float:
        """Return the share of the budget that is spent."""
        return min(1.0, self.tokens / self.budget)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        self._optimizer = self.plan.optimizer.build(self.model.parameters())
        if self._resumed is not None:
            self._optimizer.load_state_dict(self._resumed)
        return self._optimizer

    def on_train_batch_start(self, batch: list[Batch], batch_idx: int) -> None:  # noqa: ARG002
        self._unread.start(self.device)
        # Dropout differs between the ranks, which have different rows.
        rank = f" of process {self.processes.rank}" if self.processes.rank else ""
        seed_everything(derived_seed(self.seed, f"step {self.steps}{rank}"))

    def training_step(self, batch: list[Batch], batch_idx: int) -> None:  # noqa: ARG002
        assert self._optimizer is not None
        before = self.tokens, self.steps
        result = update(
            self.model, self._optimizer, self.plan, batch, self.budget, *before, self.processes, self._backward
        )
        self.tokens += result.tokens
        self.padding += result.padding
        self._unread.add(result.loss, result.tokens)

    def _backward(self, loss: Tensor, last: bool) -> None:
        """Run the backward pass; Lightning's DDP averages the gradients over all processes only after the last batch of
        a step."""
        strategy = self.trainer.strategy
        waits = isinstance(strategy, ParallelStrategy) and not last
        with cast(ParallelStrategy, strategy).block_backward_sync() if waits else nullcontext():
            self.manual_backward(loss)

    def on_train_batch_end(self, outputs: Any, batch: list[Batch], batch_idx: int) -> None:  # noqa: ARG002
        self.steps += 1
        self._unread.stop(self.device)
        if self._unread.full or self.due or self.over or math.isnan(self.last_loss):
            self._read_steps()
        self._follow_curriculum()
        self.on_safe_point(self)

    def _read_steps(self) -> None:
        """Read losses and seconds of the last steps. Raises FloatingPointError for a loss that is not finite."""
        first = self.steps - len(self._unread)
        for step, (loss, tokens, seconds) in enumerate(self._unread.read(), first):
            require_finite(loss, step)
            self.step_seconds.append(seconds)
            self.step_tokens.append(tokens)
            self.last_loss = loss
            self.running_loss.update(loss, tokens)

    def _follow_curriculum(self) -> None:
        limit = self.curriculum.length(self.progress_share)
        if limit != self.limit:
            self.limit = limit
            self.lengths.append({"length": limit, "step": self.steps, "tokens": self.tokens})

    def on_validation_epoch_start(self) -> None:
        seed_everything(derived_seed(self.seed, f"validation {self.steps}"))
        self._counts = Counts()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002
        self._counts.add(batch, self.model(batch))

    def on_validation_epoch_end(self) -> None:
        measured, self.by_length = self._counts.measured(self.processes)
        values = {f"validation/{name}": value for name, value in (measured | self.further(self.model)).items()}
        self.last_validation = values
        if self.validates_final:
            return
        self.average.take(self.cadence.passed(self.validated_at), self.cadence.passed(self.tokens), self.model)
        self.watch.observe(values, self.steps, self.tokens, self.model)
        self.validations += 1
        self.validated_at = self.tokens
        self.emit(
            {
                "step": self.steps,
                "tokens": self.tokens,
                "seconds": time.perf_counter() - self._began,
                "train/loss": self.running_loss.compute().item(),
                **values,
                "curriculum/length": self.limit,
            }
        )
        self.running_loss.reset()
        self.curriculum.observe(self.progress_share, self.by_length)
        self._follow_curriculum()
        self.on_safe_point(self)

    def run_state(self) -> dict[str, Any]:
        """Return the state of training as tensors and plain values, without the model's weights and the data stream's
        position. Raises FloatingPointError if the loss of a step was not finite."""
        self._read_steps()
        optimizer = self._resumed if self._optimizer is None else self._optimizer.state_dict()
        assert optimizer is not None, "there is no state before the first step"
        return {
            "optimizer": optimizer,
            "curriculum": self.curriculum.state_dict(),
            "running_loss": self.running_loss.state_dict(),
            "average": self.average.state_dict(),
            "watch": self.watch.state_dict(),
            "step_seconds": torch.tensor(self.step_seconds, dtype=torch.float64),
            "step_tokens": torch.tensor(self.step_tokens),
            "seconds": time.perf_counter() - self._began,
            **{name: getattr(self, name) for name in _PLAIN},
        }

    def load_run_state(self, state: dict[str, Any]) -> None:
        """Restore the state that `run_state` returned, before the fit."""
        self._resumed = state["optimizer"]
        self.curriculum.load_state_dict(state["curriculum"])
        self.running_loss.load_state_dict(state["running_loss"])
        self.average.load_state_dict(state["average"])
        self.watch.load_state_dict(state["watch"])
        self.running_loss.update(0.0, 0.0)  # with weight zero: torchmetrics warns about a mean that was never updated
        self.step_seconds = state["step_seconds"].tolist()
        self.step_tokens = state["step_tokens"].tolist()
        self._began = time.perf_counter() - state["seconds"]
        for name in _PLAIN:
            setattr(self, name, state[name])


_PLAIN = ("steps", "tokens", "padding", "limit", "lengths", "last_validation", "validations", "validated_at")
