"""Take one optimizer step: the step that training takes, and whose memory and time are measured."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from softlookup.contract import Batch, Optimizer, Schedule
from softlookup.model.seq2seq import Seq2Seq
from softlookup.system.ranks import ALONE, Processes


@dataclass(frozen=True)
class Recipe:
    """Define how the loss is brought down: the optimizer, the schedule of its rate, how far the loss is smoothed, and
    what it is the mean over.

    `smoothing` ε mixes the target distribution with the uniform one over the vocabulary, (1 − ε) δ + ε/V (Szegedy et
    al. 2016, section 7; Vaswani et al. 2017, section 5.4). Validation measures the plain loss.

    Of a step's N sentences with T target tokens in all, `loss_mean` is 1/T Σ over tokens ("token"), or 1/N Σ over
    sentences of the sum over their tokens ("sentence": Cho et al. 2014, eq. 4; Sutskever et al. 2014, section 3.4),
    whose gradient is T/N times as large. A rate or a clipping threshold means something under one of them.
    """

    optimizer: Optimizer
    schedule: Schedule
    smoothing: float = 0.0
    loss_mean: str = "token"


@dataclass(frozen=True)
class Update:
    """Hold what a step saw in all processes: the mean loss per target token, their number, and the places of
    padding."""

    loss: float
    tokens: int
    padding: int


def _backward(loss: Tensor, last: bool) -> None:  # noqa: ARG001 - one process has nothing to send after the last
    loss.backward()


def update(
    model: Seq2Seq,
    optimizer: torch.optim.Optimizer,
    plan: Recipe,
    batches: Sequence[Batch],
    budget: int,
    seen: int = 0,
    step: int = 0,
    processes: Processes = ALONE,
    backward: Callable[[Tensor, bool], None] = _backward,
) -> Update:
    """Make one whole step: gradients to zero; forward, loss and backward of every batch; clipping; the optimizer's step
    at the schedule's rate.

    θ ← step(θ, g), g the gradient of the loss over all sentences of `batches`, whatever their number, clipped to the
    norm `plan.optimizer.clip`. `seen` target tokens of `budget` and `step` steps lie before this one; the rate is that
    of the share of the budget which is spent with it. `backward` gets the loss of each batch and whether it is the last
    one; of several processes it must give the mean of their gradients behind the last. The model must be in training
    mode. Raises FloatingPointError, before any weight moves, for a loss that is not finite.
    """
    optimizer.zero_grad()
    # A process without a row of its own has a batch that is all padding, and no sentence.
    own = (
        sum(int(batch.target_mask.sum()) for batch in batches),
        sum(int(batch.target_mask.any(1).sum()) for batch in batches),
        sum(batch.target.numel() for batch in batches),
    )
    device = batches[0].target.device
    tokens, sentences, places = processes.total(*own, device=device)
    share = processes.count / (sentences if plan.loss_mean == "sentence" else tokens)
    lost = 0.0
    for number, batch in enumerate(batches, 1):
        loss = _loss(model, batch, plan.smoothing)
        lost += loss.item()
        backward(loss * share, number == len(batches))
    (lost,) = processes.total(lost, device=device)
    mean = lost / tokens
    if not math.isfinite(mean):
        raise FloatingPointError(f"the loss is {mean} at step {step}; a smaller optimizer.rate may help")
    if plan.optimizer.clip is not None:
        torch.nn.utils.clip_grad_norm_(model.parameters(), plan.optimizer.clip)
    factor = plan.schedule.factor(min(1.0, (seen + int(tokens)) / budget), step + 1)
    for group in optimizer.param_groups:
        group["lr"] = plan.optimizer.rate * factor
    optimizer.step()
    return Update(mean, int(tokens), int(places - tokens))


def _loss(model: Seq2Seq, batch: Batch, smoothing: float) -> Tensor:
    """Return the sum over the unpadded target positions of a batch."""
    logits, _ = model(batch)
    target = batch.target[batch.target_mask]
    return F.cross_entropy(logits, target, reduction="sum", label_smoothing=smoothing)
