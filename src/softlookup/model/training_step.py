"""Take one optimizer step, in training and in the measurements of its memory and time."""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from softlookup.contract import Batch, Optimizer, Schedule
from softlookup.model.loss import scaled_loss
from softlookup.model.seq2seq import Seq2Seq
from softlookup.system import bf16_products
from softlookup.system.ranks import ALONE, Processes


@dataclass(frozen=True)
class Recipe:
    """Define the training objective and its minimization: optimizer, learning rate schedule, label smoothing and loss
    mean.

    `smoothing` ε mixes the target distribution with the uniform one over the vocabulary, (1 − ε) δ + ε/V (Szegedy et
    al. 2016, section 7; Vaswani et al. 2017, section 5.4). Validation measures the unsmoothed loss.

    For a step with N sentences and T target tokens, `loss_mean` is 1/T Σ over tokens ("token"), or 1/N Σ over sentences
    of the sum over their tokens ("sentence": Cho et al. 2014, eq. 4; Sutskever et al. 2014, section 3.4), whose
    gradient is T/N times as large. Learning rates and clipping thresholds are meaningful only for one of them.

    With the `precision` "bf16" the products of matrices of a step have factors in bf16; weights, their gradients and
    the optimizer's state are float32, and so are softmax, loss, norms and recurrent states.
    """

    optimizer: Optimizer
    schedule: Schedule
    smoothing: float = 0.0
    loss_mean: str = "token"
    precision: str = "float32"


@dataclass(frozen=True)
class Update:
    """Hold the totals of a step over all processes: the mean loss per target token, the number of tokens, and of padded
    positions. On a GPU the loss is a scalar of the device: reading it waits for the step."""

    loss: float | Tensor
    tokens: int
    padding: int


def _backward(loss: Tensor, last: bool) -> None:  # noqa: ARG001 - a single process has no gradients to average
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
    """Take one whole step: zero the gradients; forward, loss and backward of every batch; clip; optimizer step at the
    schedule's rate.

    θ ← step(θ, g), g the gradient of the loss over all sentences of `batches`, whatever their number, clipped to the
    norm `plan.optimizer.clip`. `seen` target tokens of `budget` and `step` steps precede this one; the rate is that of
    the share of the budget spent after it. `backward` receives the loss of each batch and whether it is the last one;
    with several processes it must average their gradients after the last. The model must be in training mode.

    Raises FloatingPointError, before any weight changes, for a loss that is not finite. One process on a GPU does not
    wait for its steps: the caller reads the loss later, and must not use the weights if it is not finite.
    """
    optimizer.zero_grad()
    counts = (
        sum(batch.tokens for batch in batches),
        sum(batch.sentences for batch in batches),
        sum(batch.target.numel() for batch in batches),
    )
    device = batches[0].target.device
    tokens, sentences, places = processes.total(*counts, device=device)
    share = processes.count / (sentences if plan.loss_mean == "sentence" else tokens)
    waits = device.type == "cpu" or processes.count > 1  # several processes have waited for their totals
    total_loss: float | Tensor = 0.0
    for number, batch in enumerate(batches, 1):
        with _arithmetic(plan.precision, device):
            loss = _loss(model, batch, plan.smoothing, share)
        total_loss += (loss.item() if waits else loss.detach().double()) / share
        backward(loss, number == len(batches))
    if waits:
        (total_loss,) = processes.total(float(total_loss), device=device)
        require_finite(total_loss / tokens, step)
    if plan.optimizer.clip is not None:
        torch.nn.utils.clip_grad_norm_(model.parameters(), plan.optimizer.clip)
    factor = plan.schedule.factor(min(1.0, (seen + int(tokens)) / budget), step + 1)
    for group in optimizer.param_groups:
        group["lr"] = plan.optimizer.rate * factor
    optimizer.step()
    return Update(total_loss / tokens, int(tokens), int(places - tokens))


def require_finite(loss: float, step: int) -> None:
    """Raise FloatingPointError for the loss of a step that is not finite."""
    if not math.isfinite(loss):
        raise FloatingPointError(f"the loss is {loss} at step {step}; a smaller optimizer.rate may help")


def _arithmetic(precision: str, device: torch.device) -> AbstractContextManager[None]:
    """Return the context of a forward pass; what is within it decides the precision of its backward pass too."""
    if precision != "bf16":
        return nullcontext()
    bf16_products.provide()
    return torch.autocast(device.type, torch.bfloat16)


def _loss(model: Seq2Seq, batch: Batch, smoothing: float, share: float) -> Tensor:
    """Return `share` times the sum of the loss over the unpadded target positions of a batch."""
    readout = model.teach(batch, weights=False).readout
    target = batch.target.flatten().index_select(0, batch.places)
    output = model.output
    return scaled_loss(readout, output.weight, output.bias, batch.places, target, smoothing, share)
