"""Compare time and memory of one training step for every attention.

python src/bench.py                                     all attentions with the default model
python src/bench.py attention=additive,dot task=copy    some of them, on another task

attention=NAME,NAME     attentions to time; default: all
KEY=VALUE               any setting of src/train.py (python src/train.py --help)
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
    """Build a training step, and return it with its number of target tokens, parameters and peak bytes."""
    config = composed(overrides)
    torch.set_num_threads(config.settings.threads)
    parts = build_run(config)
    made = probe(parts, parts.model)
    peak = cost.step_cost(made.step, parts.model, made.optimizer, parts.device)["peak_bytes"]
    return made.step, made.tokens, cost.parameters(parts.model), peak


def main(arguments: list[str]) -> None:
    """Print the table. The variants are timed in turn, so that noise of the machine affects all of them."""
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
