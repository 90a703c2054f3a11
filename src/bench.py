"""Time and memory of one training step for every attention, side by side.

python src/bench.py                                     all choices of attention on the default model
python src/bench.py attention=additive,dot task=copy    some of them, elsewhere

attention=NAME,NAME     which to time; left out: all
KEY=VALUE               anything that src/train.py takes (python src/train.py --help)
"""

from collections.abc import Callable

import torch
from rich.console import Console
from rich.table import Table

from softlookup.config.build import build_run
from softlookup.config.catalog import groups
from softlookup.config.resolve import composed
from softlookup.errors import UserError
from softlookup.evaluation import cost
from softlookup.system import entry_point
from softlookup.timing.probe import probe
from softlookup.timing.stopwatch import in_turn, summary


def measured(overrides: list[str]) -> tuple[Callable[[], None], int, int, int]:
    """Build one training step to call, and return it with its target tokens, the parameters and its peak bytes."""
    config = composed(overrides)
    torch.set_num_threads(config.settings.threads)
    parts = build_run(config)
    made = probe(parts, parts.model)
    peak = cost.peak_bytes(made.step, parts.model, made.optimizer, parts.device)["peak_bytes"]
    return made.step, made.tokens, cost.parameters(parts.model), peak


def main(arguments: list[str]) -> None:
    """Print the table. The steps of all variants are taken in turn, so that a noisy machine is noisy for all."""
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
    found = {name: summary(taken) for name, taken in in_turn({name: made[0] for name, made in steps.items()}).items()}
    columns = ("attention", "ms/step", "quartiles", "target tokens/s", "× fastest", "peak MB", "parameters")
    table = Table(*columns, box=None)
    fastest = min((times["median"] for times in found.values()), default=0.0)
    for name, times in sorted(found.items(), key=lambda item: item[1]["median"]):
        _, tokens, parameters, peak = steps[name]
        median = times["median"]
        middle = f"{1e3 * times['q1']:.1f}–{1e3 * times['q3']:.1f}"
        figures = (f"{1e3 * median:.1f}", middle, f"{tokens / median:,.0f}", f"{median / fastest:.2f}")
        table.add_row(name, *figures, f"{peak / 1e6:.1f}", f"{parameters:,}")
    Console().print(table)


if __name__ == "__main__":
    entry_point.run(main, __doc__, product=True)
