"""Time and memory of one training step for every attention, side by side.

python src/bench.py                                     all choices of attention on the default model
python src/bench.py attention=additive,dot task=copy    some of them, elsewhere
"""

import statistics
import sys
import time
from collections.abc import Callable

import torch
from rich.console import Console
from rich.table import Table

from softlookup import cost
from softlookup.config import build, composed, groups
from softlookup.construct import build_model, device_of
from softlookup.contract import Task
from softlookup.errors import UserError
from softlookup.probe import probe

ROUNDS = 30
WARM_UP = 3


def prepared(overrides: list[str]) -> tuple[Callable[[], None], int, int, int]:
    """One training step to call, its target tokens, the model's parameters and the peak bytes of the step."""
    config = composed(overrides)
    torch.set_num_threads(config["threads"])
    device = device_of(config)
    task: Task = build(config["task"])
    model = build_model(config, len(task.source_vocabulary), len(task.target_vocabulary)).to(device)
    made = probe(config, task, model)
    peak = cost.peak_bytes(made.step, model, made.optimizer, device)["peak_bytes"]
    return made.step, made.tokens, cost.parameters(model), peak


def main(arguments: list[str]) -> None:
    """Prints the table. The steps of all variants are taken in turn, so that a noisy machine is noisy for all."""
    chosen = [a.partition("=")[2].split(",") for a in arguments if a.startswith("attention=")]
    rest = [a for a in arguments if not a.startswith("attention=")]
    steps = {}
    for name in chosen[0] if chosen else groups()["attention"]:
        try:
            steps[name] = prepared([*rest, f"attention={name}"])
        except UserError as error:
            print(f"{name}: left out: {error}")
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(ROUNDS + WARM_UP):
        for name, (step, *_) in steps.items():
            began = time.perf_counter()
            step()
            if turn >= WARM_UP:
                seconds[name].append(time.perf_counter() - began)
    table = Table("attention", "ms/step", "target tokens/s", "× fastest", "peak MB", "parameters", box=None)
    fastest = min(map(statistics.median, seconds.values()))
    for name in sorted(steps, key=lambda name: statistics.median(seconds[name])):
        _, tokens, parameters, peak = steps[name]
        median = statistics.median(seconds[name])
        figures = (f"{1e3 * median:.1f}", f"{tokens / median:,.0f}", f"{median / fastest:.2f}", f"{peak / 1e6:.1f}")
        table.add_row(name, *figures, f"{parameters:,}")
    Console().print(table)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as mistake:
        sys.exit(f"error: {mistake}")
