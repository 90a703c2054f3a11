"""Compare additive attention without its weights with the plain form."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from softlookup.fused.additive import attend
from softlookup.timing.additive import BATCH, Attend, naive, step_of
from softlookup.timing.gpu.sections import Job
from softlookup.timing.stopwatch import in_turn, summary


def measure(job: Job) -> Iterator[dict[str, Any]]:
    """Yield the times of naive, compiled naive and lean additive attention, forward and backward, and on CUDA their
    peaks of allocated bytes. The lean form is that of tiles in torch: there is no Triton kernel."""
    device = torch.device(job.device)
    length, width = (32, 8) if job.small else (512, 128)
    ways: dict[str, Attend] = {"naive": naive, "lean": attend}
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
