"""Compare time and memory of one training step for every attention.

python src/bench.py                                     all attentions with the default model
python src/bench.py attention=additive,dot task=copy    some of them, on another task
python src/bench.py lengths=512                         additive attention alone, with and without its weights

attention=NAME,NAME     attentions to time; default: all
lengths=N,N             instead: time naive, compiled and lean additive attention at T = S = N (B 8, width 128)
threads=N               with lengths=: torch's threads; default: as many as cores
KEY=VALUE               any setting of src/train.py (python src/train.py --help)
"""

from softlookup.system.entry_point import announce

if __name__ == "__main__":
    announce("building the models …")

import os
from collections.abc import Callable

import torch
from rich.console import Console
from rich.table import Table

from softlookup.config.build import build_run
from softlookup.config.catalog import groups
from softlookup.config.resolve import composed
from softlookup.errors import UserError, key_values
from softlookup.evaluation import cost
from softlookup.fused.additive import attend
from softlookup.system import entry_point
from softlookup.timing.additive import LARGEST, WIDTH, Attend, extra_bytes, naive, step_of
from softlookup.timing.probe import probe
from softlookup.timing.stopwatch import in_turn, summary


def measured(overrides: list[str]) -> tuple[Callable[[], None], int, int, int]:
    """Build a training step, and return it with its number of target tokens, parameters and peak bytes."""
    config = composed(overrides)
    torch.set_num_threads(config.settings.threads)
    parts = build_run(config)
    made = probe(parts, parts.model)
    peak = cost.step_cost(made.step, parts.model, made.optimizer, parts.device)["peak_bytes"]
    return made.step, made.tokens, cost.parameters(parts.model), peak


def alone(arguments: list[str]) -> None:
    """Print the times of additive attention, forward and backward, at each length: from all weights (naive), the same
    compiled by torch, and without weights (lean)."""
    given = key_values(arguments, ["lengths", "threads"])
    try:
        lengths = [int(length) for length in given["lengths"].split(",")]
        torch.set_num_threads(int(given.get("threads", os.cpu_count() or 1)))
        wrong = min(lengths) < 1
    except (ValueError, RuntimeError):
        wrong = True
    if wrong:
        raise UserError(f"{' '.join(arguments)}: expected whole numbers above zero, as in lengths=128,512 threads=2")
    table = Table("T = S", "additive", "ms", "quartiles", "naive / it", "extra peak MB", box=None)
    for length in lengths:
        ways: dict[str, Attend] = {"naive": naive, "compiled naive": torch.compile(naive), "lean": attend}
        extra = {name: extra_bytes(ways[name], length) for name in ("naive", "lean")}
        if extra["naive"] > LARGEST:
            del ways["naive"], ways["compiled naive"]
        steps = {name: step_of(way, length, WIDTH, torch.device("cpu")) for name, way in ways.items()}
        found = {name: summary(seconds) for name, seconds in in_turn(steps).items()}
        for name, row in found.items():
            ratio = f"{found['naive']['median'] / row['median']:.2f}" if "naive" in found else ""
            peak = f"{extra[name] / 1e6:,.1f}" if name in extra else ""
            quartiles = f"{1e3 * row['q1']:,.1f}–{1e3 * row['q3']:,.1f}"
            table.add_row(str(length), name, f"{1e3 * row['median']:,.1f}", quartiles, ratio, peak)
        if "naive" not in found:
            table.add_row(str(length), "naive", "not run", "", "", f"{extra['naive'] / 1e6:,.1f}")
    Console().print(table)


def main(arguments: list[str]) -> None:
    """Print the table. The variants are timed in turn, so that noise of the machine affects all of them."""
    if any(a.startswith("lengths=") for a in arguments):
        alone(arguments)
        return
    chosen = [a.partition("=")[2].split(",") for a in arguments if a.startswith("attention=")]
    rest = [a for a in arguments if not a.startswith("attention=")]
    steps = {}
    mistake = UserError("attention=NAME: nothing to time")
    for name in chosen[0] if chosen else groups()["attention"]:
        try:
            steps[name] = measured([*rest, f"attention={name}"])
        except UserError as error:
            print(f"{name}: left out: {error}")
            mistake = error
    if not steps:
        raise mistake
    times = in_turn({name: timed[0] for name, timed in steps.items()})
    found = {name: summary(seconds) for name, seconds in times.items()}
    columns = ("attention", "ms/step", "quartiles", "target tokens/s", "× fastest", "peak MB", "parameters")
    table = Table(*columns, box=None)
    fastest = min((row["median"] for row in found.values()), default=0.0)
    for name, row in sorted(found.items(), key=lambda item: item[1]["median"]):
        _, tokens, parameters, peak = steps[name]
        median = row["median"]
        quartiles = f"{1e3 * row['q1']:.1f}–{1e3 * row['q3']:.1f}"
        figures = (f"{1e3 * median:.1f}", quartiles, f"{tokens / median:,.0f}", f"{median / fastest:.2f}")
        table.add_row(name, *figures, f"{peak / 1e6:.1f}", f"{parameters:,}")
    Console().print(table)


if __name__ == "__main__":
    entry_point.run(main, __doc__, product=True)
