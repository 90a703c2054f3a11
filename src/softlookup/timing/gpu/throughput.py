"""Time training steps of four models in several kinds of arithmetic, and on the processor of the same machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch

from softlookup.evaluation import cost
from softlookup.timing.gpu import profiled
from softlookup.timing.gpu.models import BF16, FLOAT32, KINDS, MODELS, all_threads, arithmetic, built
from softlookup.timing.gpu.sections import Job
from softlookup.timing.probe import Probe
from softlookup.timing.stopwatch import in_turn, summary

Step = Callable[[], None]
_PROCESSOR = "processor"
_LEAST, _MOST = 2, 7  # steps on the processor, which may take seconds


def measure(job: Job) -> Iterator[dict[str, Any]]:
    """Yield by model: target tokens of a step, seconds of a step by arithmetic, what a step asks of the device, and the
    seconds on the processor."""
    all_threads()
    found: dict[str, Any] = {"models": {}, "left_out": {}}
    probes: dict[str, Probe] = {}
    for name in MODELS:
        parts, probes[name] = built(name, job.device, job.small)
        size = {"tokens": probes[name].tokens, "parameters": cost.parameters(parts.model)}
        found["models"][name] = {**size, "seconds": {}}
        yield found
    steps: dict[tuple[str, str], Step] = {
        (name, kind): partial(_step, made, kind, job.device)
        for name, made in probes.items()
        for kind in (KINDS if job.device == "cuda" else (FLOAT32, BF16))
    }
    yield from _timed(found, _able(found, steps), 0.35 * job.seconds)
    if job.device == "cuda":
        for name, made in probes.items():
            try:
                found["models"][name] |= _asked(partial(_step, made, FLOAT32, job.device), found["models"][name])
            except RuntimeError as error:  # of the profiler, where it may not read the device's counters
                found["left_out"][f"{name} profile"] = " ".join(str(error).split())[:200]
            yield found
        probes.clear()
        for name in MODELS:
            times = few(built(name, "cpu", small=False)[1].step, 0.4 * job.seconds / len(MODELS))
            found["models"][name]["seconds"][_PROCESSOR] = {**summary(times), "rounds": len(times)}
            yield found


def _step(made: Probe, kind: str, device: str) -> None:
    with arithmetic(kind, device):
        made.step()


def few(step: Step, seconds: float) -> list[float]:
    """Return the seconds of two to seven steps after a first one, about as many as fit into `seconds`."""
    began = time.perf_counter()
    step()
    taken: list[float] = []
    while len(taken) < _LEAST or (len(taken) < _MOST and time.perf_counter() - began + taken[-1] < seconds):
        start = time.perf_counter()
        step()
        taken.append(time.perf_counter() - start)
    return taken


def _able(found: dict[str, Any], steps: dict[tuple[str, str], Step]) -> dict[tuple[str, str], Step]:
    """Return the steps that can be taken; the reasons of the others go into `left_out`."""
    able = {}
    for key, step in steps.items():
        try:
            step()
            able[key] = step
        except Exception as error:  # an operation may lack this arithmetic
            found["left_out"][" ".join(key)] = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return able


def _timed(found: dict[str, Any], steps: dict[tuple[str, str], Step], seconds: float) -> Iterator[dict[str, Any]]:
    taken = in_turn({"\t".join(key): step for key, step in steps.items()}, seconds)
    for joined, times in taken.items():
        name, kind = joined.split("\t")
        found["models"][name]["seconds"][kind] = {**summary(times), "rounds": len(times)}
    yield found


def _asked(step: Step, row: dict[str, Any]) -> dict[str, Any]:
    """Return kernels, launches and synchronizations of a step, and the share of its time in which the device works."""
    asked: dict[str, Any] = {"synchronizations": profiled.synchronizations(step)}
    asked |= profiled.work(step)
    median = row["seconds"].get(FLOAT32, {}).get("median")
    if median and "busy_seconds" in asked:
        asked["busy_share"] = asked["busy_seconds"] / median
    torch.cuda.synchronize()
    return asked
