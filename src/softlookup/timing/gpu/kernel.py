"""Compare additive attention without its weights with the plain form."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from softlookup.fused import tiled
from softlookup.fused.additive import attend, compiled
from softlookup.timing.additive import BATCH, Attend, naive, step_of
from softlookup.timing.gpu.sections import Job
from softlookup.timing.stopwatch import in_turn, summary


class _Tiles(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> Tensor:
        found = tiled.forward(*inputs)
        ctx.save_for_backward(*inputs, *found)
        return found[0]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        to_query, to_keys, to_vector, to_values = tiled.backward(gradient, *ctx.saved_tensors)
        return to_query, to_keys, to_vector.sum(0), to_values, None


def tiles(query: Tensor, keys: Tensor, vector: Tensor, values: Tensor, mask: Tensor) -> Tensor:
    """Return the context as `additive.attend` does where there is no compiled kernel."""
    context: Tensor = _Tiles.apply(query, keys, vector, values, mask.expand(*query.shape[:3], keys.size(2)))
    return context


def measure(job: Job) -> Iterator[dict[str, Any]]:
    """Yield the times of naive and compiled naive additive attention, of tiles in torch, and of the lean form that runs
    take, in C or in Triton, forward and backward; on CUDA their peaks of allocated bytes."""
    device = torch.device(job.device)
    length, width = (32, 8) if job.small else (512, 128)
    ways: dict[str, Attend] = {"naive": naive, "tiles": tiles}
    if compiled(torch.float32, device):
        ways["Triton" if device.type == "cuda" else "C"] = attend
    if not job.small:
        ways["compiled naive"] = torch.compile(naive)
    found: dict[str, Any] = {"shape": f"B {BATCH}, T = S = {length}, width {width}", "ways": {}, "left_out": {}}
    steps = {}
    for name, way in ways.items():
        step = step_of(way, length, width, device)
        try:
            step()  # compiles
        except Exception as error:  # without Triton, or without a compiler
            found["left_out"][name] = f"{type(error).__name__}: {str(error).splitlines()[0]}"
            continue
        steps[name], found["ways"][name] = step, {}
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            step()
            found["ways"][name]["cuda_max_memory_allocated"] = torch.cuda.max_memory_allocated(device)
    yield found
    for name, seconds in in_turn(steps, job.seconds / 3).items():
        found["ways"][name] |= {"seconds": summary(seconds)}
    yield found
