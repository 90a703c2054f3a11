"""The one LightningModule: loss, optimizer, validation, and what is written down on the way."""

import time
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import MeanMetric, MetricCollection

from softlookup.contract import Batch, Curriculum
from softlookup.optimizer.adam import Adam
from softlookup.seq2seq import Seq2Seq


class Training(pl.LightningModule):
    """Maximum likelihood under teacher forcing: loss = −mean log p(y_t | y_<t, x) over unpadded target positions.

    `budget` is the number of target tokens to see; learning rate and curriculum follow the share of it that is
    spent. `emit` receives one flat record (JSON scalars alone) per validation. A loss that is not finite raises
    FloatingPointError with the step.
    """

    def __init__(
        self,
        model: Seq2Seq,
        optimizer: Adam,
        curriculum: Curriculum,
        budget: int,
        emit: Callable[[dict[str, Any]], None],
    ) -> None:
        super().__init__()
        self.model = model
        self.plan = optimizer
        self.curriculum = curriculum
        self.budget = budget
        self.emit = emit
        self.tokens = 0
        self.padding = 0
        self.limit = curriculum.length(0.0)
        self.lengths: list[dict[str, int]] = [{"length": self.limit, "step": 0, "tokens": 0}]
        self.step_seconds: list[float] = []
        self.step_tokens: list[int] = []
        self.running_loss = MeanMetric()
        self.validation = MetricCollection({"loss": MeanMetric(), "token_accuracy": MeanMetric()})
        self.by_length: dict[int, MeanMetric] = {}
        self.last_validation: dict[str, float] = {}
        self.validated_at = 0
        self._began = time.perf_counter()
        self._started = self._began

    @property
    def progress_share(self) -> float:
        """The share of the budget that is spent."""
        return min(1.0, self.tokens / self.budget)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self.plan.build(self.model.parameters())

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clipping belongs to the optimizer's config, not to the Trainer's."""
        del gradient_clip_val, gradient_clip_algorithm
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.plan.clip)
        for group in optimizer.param_groups:
            group["lr"] = self.plan.rate * self.plan.factor(self.progress_share)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002
        self._started = time.perf_counter()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:  # noqa: ARG002
        logits, _ = self.model(batch)
        count = len(logits)
        loss = F.cross_entropy(logits, batch.target[batch.target_mask])
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss.item()} at step {self.global_step}; a smaller optimizer.rate may help"
            )
        self.tokens += count
        self.padding += batch.target.numel() - count
        self.step_tokens.append(count)
        self.running_loss.update(loss.detach(), count)
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002
        self.step_seconds.append(time.perf_counter() - self._started)
        self._follow_curriculum()

    def _follow_curriculum(self) -> None:
        limit = self.curriculum.length(self.progress_share)
        if limit != self.limit:
            self.limit = limit
            self.lengths.append({"length": limit, "step": self.global_step, "tokens": self.tokens})

    def on_validation_epoch_start(self) -> None:
        self.validation.reset()
        self.by_length = {}

    def validation_step(self, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002
        logits, _ = self.model(batch)
        target = batch.target[batch.target_mask]
        right = (logits.argmax(-1) == target).float()
        self.validation["loss"].update(F.cross_entropy(logits, target), len(target))
        self.validation["token_accuracy"].update(right)
        counts = batch.target_mask.sum(1).tolist()
        for example, own in zip(batch.examples, right.split(counts), strict=True):
            self.by_length.setdefault(len(example.source), MeanMetric().to(own.device)).update(own)

    def on_validation_epoch_end(self) -> None:
        # Rounded, since a float32 mean of 0.9 is a hair below the threshold 0.9.
        accuracy = {length: round(metric.compute().item(), 6) for length, metric in sorted(self.by_length.items())}
        values = {f"validation/{name}": value.item() for name, value in self.validation.compute().items()}
        self.last_validation = values
        self.validated_at = self.tokens
        self.emit(
            {
                "step": self.global_step,
                "tokens": self.tokens,
                "seconds": time.perf_counter() - self._began,
                "train/loss": self.running_loss.compute().item(),
                **values,
                "curriculum/length": self.limit,
            }
        )
        self.running_loss.reset()
        self.curriculum.observe(self.progress_share, accuracy)
        self._follow_curriculum()
