"""Time training steps and decoding of several variants, interleaved, while nothing else runs."""

import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import torch

from softlookup.config.build import build_run
from softlookup.config.run_config import RunConfig
from softlookup.contract import Task
from softlookup.inference.initial_weights import origin_of, task_of
from softlookup.runs.run_folder import json_of
from softlookup.runs.run_id import run_id
from softlookup.runs.run_state import state_of
from softlookup.system import atomic_files
from softlookup.timing.plan import Order, now
from softlookup.timing.probe import SENTENCES, Decoding, Probe, decoding, probe

SECONDS = 10.0  # for the rounds of all variants together, if that allows for at least LEAST rounds
WARM_UP = 2  # first rounds, which allocate memory and fill caches; not counted
LEAST, MOST = 5, 31
_STEP, _DECODING = "step ", "decoding "  # prefixes of what is taken in turn


def in_turn(
    steps: Mapping[str, Callable[[], None]],
    seconds: float = SECONDS,
    progress: Callable[[float], None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Take the steps in turn, round after round, and return the seconds of each step in every counted round.

    A temporary disturbance of the machine thus affects all steps alike. As many rounds are counted as fit into
    `seconds`, at least 5 and at most 31. `progress` receives the completed share. A step whose loss is not finite is
    left out.
    """
    found: dict[str, list[float]] = {name: [] for name in steps}
    turn, rounds = 0, WARM_UP + MOST
    while turn < rounds:
        began = clock()
        for name in list(found):
            start = clock()
            try:
                steps[name]()
            except FloatingPointError:
                del found[name]
                continue
            found[name].append(clock() - start)
        turn += 1
        if turn == WARM_UP:
            rounds = WARM_UP + max(LEAST, min(MOST, int(seconds / max(clock() - began, 1e-9))))
        if progress is not None:
            progress(turn / rounds)
    return {name: taken[WARM_UP:] for name, taken in found.items()}


def summary(seconds: Sequence[float]) -> dict[str, float]:
    """Return the median and both quartiles, interpolated as by statistics.quantiles (inclusive)."""
    q1, median, q3 = statistics.quantiles(seconds, n=4, method="inclusive")
    return {"median": median, "q1": q1, "q3": q3}


def record(order: Order, progress: Callable[[float], None]) -> None:
    """Time a step and the decoding of a token of each variant of an order, and write its timing.json; `progress`
    receives the completed share.

    Variants of one task are interleaved, so that only their models are in memory together. A variant that cannot be
    built, or whose step fails, is left out with its reason in the file.
    """
    torch.set_num_threads(order.origin["threads"])
    tasks: dict[str, list[str]] = {}
    for key, config in order.configs.items():
        tasks.setdefault(json.dumps([config.parts["task"], config.settings.init_from], sort_keys=True), []).append(key)
    steps: dict[str, dict[str, float]] = {}
    decoded: dict[str, dict[str, float]] = {}
    reasons: dict[str, str] = {}
    for keys in tasks.values():
        share, done = len(keys) / len(order.configs), (len(steps) + len(reasons)) / len(order.configs)
        configs = {key: order.configs[key] for key in keys}
        timed, read, failed = _timed(configs, SECONDS * share, lambda part: progress(done + share * part))  # noqa: B023 - used at once
        steps |= timed
        decoded |= read
        reasons |= {key: f"{run_id(configs[key])}: {reason}" for key, reason in failed.items()}
    content = {
        **order.origin,
        "made": now(),
        "rounds": min((step["rounds"] for step in steps.values()), default=0),
        "batch": SENTENCES,
        "steps": steps,
        "decoding": decoded,
        "left_out": reasons,
    }
    atomic_files.write(order.path, json_of(content))


def _timed(
    configs: dict[str, RunConfig], seconds: float, progress: Callable[[float], None]
) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, float]], dict[str, str]]:
    """Return the seconds of a step and of decoding a token of the variants of one task, and the reasons of those left
    out."""
    probes: dict[str, Probe | Decoding] = {}
    reasons: dict[str, str] = {}
    task: Task | None = None
    for key, config in configs.items():
        try:
            task = task or task_of(config, origin_of(config))
            parts = build_run(config, task)
            decoded = decoding(parts, parts.model)  # before the step, which changes the model
            probes |= {_STEP + key: probe(parts, parts.model), _DECODING + key: decoded}
        except Exception as error:
            reasons[key] = str(state_of(error)[1])
    found = in_turn({name: made.step for name, made in probes.items()}, seconds, progress) if probes else {}
    lost = {key for key in configs.keys() - reasons.keys() if _STEP + key not in found}
    reasons |= dict.fromkeys(lost, "the loss of its step is not finite")
    timed = {
        key: {**summary(found[_STEP + key]), "tokens": probes[_STEP + key].tokens, "rounds": len(found[_STEP + key])}
        for key in configs
        if _STEP + key in found
    }
    read = {key: [taken / probes[_DECODING + key].tokens for taken in found[_DECODING + key]] for key in timed}
    return timed, {key: {**summary(taken), "rounds": len(taken)} for key, taken in read.items()}, reasons
