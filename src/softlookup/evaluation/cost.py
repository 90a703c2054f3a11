"""Measure the cost of a model: parameters, peak memory and time of a training step."""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from softlookup.contract import Batch
from softlookup.model.seq2seq import Seq2Seq

WARM_UP = 3  # first steps, which fill caches and allocate; excluded from times of at least ten times as many steps


def parameters(module: nn.Module) -> int:
    """Return the number of trainable parameters; a shared tensor counts once."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def peak_bytes(
    step: Callable[[], None], module: nn.Module, optimizer: torch.optim.Optimizer, device: torch.device
) -> dict[str, int]:
    """Measure the peak bytes of tensors on `device` during one training step: forward, backward and update.

    Parameters, gradients, optimizer state, activations and temporaries are counted; of the batch, which existed before,
    only what the step makes views of. `peak_bytes` is from torch's MemTracker: the sum of live storages, deterministic,
    without the allocator's slack. On CUDA `cuda_max_memory_allocated` is added, which includes everything else on the
    device.

    The step runs twice. The first run is not counted: it creates the optimizer state (two copies of the parameters for
    Adam), so that the second is like any later step; gradients start as None in both. `module` and `optimizer` are
    modified, so pass copies; the global random state is restored.
    """
    on_cuda = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if on_cuda else []):
        optimizer.zero_grad(set_to_none=True)
        step()
        optimizer.zero_grad(set_to_none=True)
        found = {"peak_bytes": _tracked(step, module, optimizer, device)}
        if on_cuda:
            optimizer.zero_grad(set_to_none=True)
            torch.cuda.reset_peak_memory_stats(device)
            step()
            torch.cuda.synchronize(device)
            found["cuda_max_memory_allocated"] = torch.cuda.max_memory_allocated(device)
    optimizer.zero_grad(set_to_none=True)
    return found


@torch.no_grad()
def memory_bytes(model: Seq2Seq, batch: Batch) -> int:
    """Return the bytes of what the attention of a model reads at every step, for the sources of a batch.

    A fixed context needs as many for every source length, a lookup more for longer sources.
    """
    memory, _ = model.eval().encode(batch.source, batch.source_mask)
    return memory.bytes


def _tracked(
    step: Callable[[], None], module: nn.Module, optimizer: torch.optim.Optimizer, device: torch.device
) -> int:
    from torch.distributed._tools.mem_tracker import MemTracker

    class Tracker(MemTracker):
        """MemTracker without per-module statistics, which are not needed here: those of inputs fail on packed
        sequences, and all of them fail where a step calls the model several times."""

        def _track_inputs_or_outputs(self, args: Any) -> int:  # noqa: ARG002
            return 0

        def _pre_fw_hook(self, called: nn.Module, inputs: Any) -> None:
            if called is module:
                self.reset_mod_stats()
            super()._pre_fw_hook(called, inputs)

    tracker = Tracker()
    tracker.track_external(module, optimizer)
    # The garbage collector frees tensors in reference cycles at arbitrary times: disable it during the step.
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        with tracker:
            step()
    finally:
        if enabled:
            gc.enable()
    peaks = tracker.get_tracker_snapshot("peak")
    return sum(kinds["Total"] for where, kinds in peaks.items() if where.type == device.type)


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
