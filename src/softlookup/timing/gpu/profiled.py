"""Find out what a training step asks of a CUDA device: kernels, launches, busy time and synchronizations."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

_ANNOTATED = ("gpu_user_annotation", "user_annotation")


def work(step: Callable[[], None]) -> dict[str, Any]:
    """Return the kernels of one step, the launches by the host, and `busy_seconds`, in which the device computed or
    copied. Empty where the profiler sees no device."""
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as recorded:
        step()
    results = recorded.profiler
    assert results is not None
    events = list(results.kineto_results.events())
    on_device = [
        event
        for event in events
        if event.device_type() == torch.autograd.DeviceType.CUDA and not event.is_user_annotation()
    ]
    if not on_device:
        return {}
    kernels = [event for event in on_device if not event.name().startswith(("Memcpy", "Memset"))]
    launches = [event for event in events if "LaunchKernel" in event.name()]
    return {
        "kernels": len(kernels),
        "copies": len(on_device) - len(kernels),
        "launches": len(launches),
        "busy_seconds": covered((event.start_ns(), event.end_ns()) for event in on_device) / 1e9,
    }


def covered(spans: Iterable[tuple[int, int]]) -> int:
    """Return the length of the union of spans (start, end)."""
    total, reached = 0, None
    for start, end in sorted(spans):
        if reached is None or start > reached:
            total, reached = total + end - start, end
        elif end > reached:
            total, reached = total + end - reached, end
    return total


def synchronizations(step: Callable[[], None]) -> int:
    """Return how often the host waits for the device within one step, by torch's own count: reading a number, boolean
    indexing, copies. An explicit torch.cuda.synchronize is not counted."""
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            step()
        finally:
            torch.cuda.set_sync_debug_mode(before)
    return sum("synchronizing CUDA operation" in str(warning.message) for warning in caught)
