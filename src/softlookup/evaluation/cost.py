"""Measure the cost of a model: parameters, operations, memory and time of a training step, and what decoding reads."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from softlookup.contract import Batch
from softlookup.evaluation.ledger import Ledger
from softlookup.model.seq2seq import Seq2Seq

WARM_UP = 3  # first steps, which fill caches and allocate; excluded from times of at least ten times as many steps


def parameters(module: nn.Module) -> int:
    """Return the number of trainable parameters; a shared tensor counts once."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def step_cost(
    step: Callable[[], None], module: nn.Module, optimizer: torch.optim.Optimizer, device: torch.device
) -> dict[str, Any]:
    """Measure one training step, forward, backward and update: floating-point operations, and the peak of memory.

    `peak_bytes` are the bytes of all tensors on `device` at the moment when they are the most, and `peak_CATEGORY`
    those of each category of a `Ledger`, which sum to it. `forward_flops` and `backward_flops` count products of
    matrices and fused attention, the gradients of the output layer with the forward pass, in which the loss computes
    them; None if an operator has no formula. On CUDA `cuda_max_memory_allocated` is added,
    which includes everything else on the device.

    The step runs twice. The first run is not counted: it creates the optimizer state (two copies of the parameters for
    Adam), so that the second is like any later step; gradients start as None in both. `module` and `optimizer` are
    modified, so pass copies; the global random state is restored.
    """
    on_cuda = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if on_cuda else []):
        optimizer.zero_grad(set_to_none=True)
        step()
        optimizer.zero_grad(set_to_none=True)
        with Ledger(device, module, optimizer) as ledger:
            step()
        found = ledger.figures()
        if on_cuda:
            optimizer.zero_grad(set_to_none=True)
            torch.cuda.reset_peak_memory_stats(device)
            step()
            torch.cuda.synchronize(device)
            found["cuda_max_memory_allocated"] = torch.cuda.max_memory_allocated(device)
    optimizer.zero_grad(set_to_none=True)
    return found


@torch.no_grad()
def state(model: Seq2Seq, batch: Batch) -> dict[str, int]:
    """Return the bytes of what a decoding step can read of one source, and the length of that source.

    `state_bytes` are those of the decoder's Memory for the first source of a batch, `state_length` its length with
    padding. A fixed context needs as many for every length, a lookup more for a longer source. The decoder's own state,
    which a step changes, is not counted: a source that is read only there, as with attention=fixed_initial, has 0.
    """
    memory, _ = model.eval().encode(batch.source[:1], batch.source_mask[:1], batch.lengths[:1])
    return {"state_bytes": memory.bytes, "state_length": batch.source.size(1)}


def summarize_steps(seconds: Sequence[float], tokens: Sequence[int]) -> dict[str, float | None]:
    """Summarize training times from the seconds and the target tokens of each step.

    seconds_per_step is the median, tokens_per_second the sum of tokens divided by the sum of seconds, both without the
    first 3 steps if there are at least 30; training_seconds is the sum over all steps. None without steps. Raises
    ValueError when the lists differ in length.
    """
    if len(seconds) != len(tokens):
        raise ValueError(f"got the seconds of {len(seconds)} steps and the tokens of {len(tokens)}")
    if not seconds:
        return {"seconds_per_step": None, "tokens_per_second": None, "training_seconds": None}
    first = WARM_UP if len(seconds) >= 10 * WARM_UP else 0
    return {
        "seconds_per_step": statistics.median(seconds[first:]),
        "tokens_per_second": sum(tokens[first:]) / sum(seconds[first:]),
        "training_seconds": sum(seconds),
    }
