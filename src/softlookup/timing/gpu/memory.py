"""Compare the tracked peak memory of a training step with that of CUDA's allocator."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import torch

from softlookup.evaluation import cost
from softlookup.timing.gpu.models import MODELS, built
from softlookup.timing.gpu.sections import Job


def measure(job: Job) -> Iterator[dict[str, Any]]:
    """Yield by model the peak bytes that are tracked, and those that the allocator counts; the latter include the
    batch, and the work space of cuBLAS and cuDNN."""
    found: dict[str, Any] = {}
    for name in MODELS:
        parts, made = built(name, job.device, job.small)
        found[name] = cost.step_cost(made.step, parts.model, made.optimizer, parts.device)
        yield found
        del parts, made
        gc.collect()
        if job.device == "cuda":
            torch.cuda.empty_cache()
