"""Measure the cost of a run, for its row."""

import copy
from typing import Any

from softlookup.config.build import RunParts
from softlookup.evaluation import cost
from softlookup.timing.probe import fixed_batch, probe
from softlookup.training.module import Training


def measure(parts: RunParts, training: Training, seconds: float) -> dict[str, Any]:
    """Measure the cost of a run. Operations and peak memory are those of one training step on a fixed batch of
    validation sentences, `state_bytes` what a decoding step can read of the longest of their sources.

    It is measured on a copy: the run's weights and random numbers stay unchanged. Seconds include all attempts that led
    to the result, without the work that a kill destroyed.
    """
    # A copy of a recurrent layer has its weights in pieces; moving it, even to the same device, joins them for cuDNN.
    twin = copy.deepcopy(parts.model).to(parts.device)
    measured = probe(parts, twin)
    step = cost.step_cost(measured.step, twin, measured.optimizer, parts.device)
    state = cost.state(twin, fixed_batch(parts.task).to(parts.device))
    clock = cost.summarize_steps(training.step_seconds, training.step_tokens)
    return {
        "cost/parameters": cost.parameters(parts.model),
        **{f"cost/{name}": value for name, value in (step | state | clock).items()},
        "cost/padding_share": training.padding / (training.padding + training.tokens),
        "cost/seconds": seconds,
    }
