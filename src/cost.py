"""Price every choice by length: predicted without data, measured where that is quick.

python src/cost.py                                    all of them, S = T = 128 … 131,072, in at most 5 min on 2 cores
python src/cost.py attention=additive,dot             some of them
python src/cost.py longest=8192 decoder.width=256     up to another length, in another model

attention=NAME,NAME     attentions to price; likewise normalizer=, window=, mixer=, encoder= and decoder=; default: all
longest=N               the longest length, a power of two, from 512 to 1,048,576; default: 131072
seconds=X               a pass is measured up to the length where it is expected to take longer; default: 0.5
output=DIR              folder of cost.json, cost.csv, cost.png and cost.svg; default: runs
KEY=VALUE               a key of these parts, as in decoder.width=256 (python src/train.py --help)

A pass is forward and backward of one sentence, S = T. Its memory is the sum of all tensors that are alive at once:
weights, gradients and what the pass computes, without the inputs. Exponents are slopes of log cost over log length, in
the longer half of the lengths, with 95 % intervals. Times are measured only.
"""

from softlookup.system.entry_point import announce

if __name__ == "__main__":
    announce("building the models …")

import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.text import Text

from softlookup.config.catalog import groups
from softlookup.config.settings import explanations
from softlookup.errors import UserError, nearest, shell_quote
from softlookup.pricing import picture, report
from softlookup.pricing.parts import KINDS, parts
from softlookup.pricing.price import Priced, priced
from softlookup.runs import provenance
from softlookup.system import entry_point
from softlookup.system.memory import available

SHORTEST = 128
PRESETTING = {"paper", "size", *(kind.group for kind in KINDS)}  # keys that choose what a priced part is made of
MEASURED_SHARE = 0.25  # of this machine's memory, for a pass that is measured


def _chosen(given: dict[str, str]) -> dict[str, list[str]]:
    """Return the names to price by group. Raises UserError for a name that is not offered."""
    offered = {kind.group: groups()[kind.group] for kind in KINDS}
    chosen = {group: given[group].split(",") for group in offered if group in given}
    for group, names in chosen.items():
        for name in names:
            if name not in offered[group]:
                raise UserError(f"{group}={name}: no such choice; {nearest(name, offered[group])}")
    return chosen or offered


def _require_parts(words: Sequence[str]) -> None:
    """Raise UserError for a setting or a choice that changes no part that is priced."""
    for word in words:
        key = word.lstrip("+~").partition("=")[0]
        head = key.partition(".")[0]
        if head not in PRESETTING and (head in explanations() or head in groups()):
            raise UserError(
                f"{word}: no cost here depends on it; leave it out, or change a part, as in decoder.width=256"
            )


def _lengths(text: str) -> list[int]:
    longest = int(text) if text.isdecimal() else 0
    if not 512 <= longest <= 2**20 or longest & (longest - 1):
        raise UserError(f"longest={text}: expected a power of two from 512 to 1048576; type: longest=8192")
    return [SHORTEST << place for place in range((longest // SHORTEST).bit_length())]


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= 600:
        raise UserError(f"seconds={text}: expected a number above 0, at most 600; type: seconds=0.5")
    return seconds


def main(arguments: list[str]) -> None:
    """Price the chosen parts, write the files, and print the table."""
    own = (*(kind.group for kind in KINDS), "longest", "seconds", "output")
    given = dict(
        argument.split("=", 1) for argument in arguments if argument.partition("=")[0] in own and "=" in argument
    )
    rest = [argument for argument in arguments if argument.partition("=")[0] not in given]
    empty = [key for key, value in given.items() if not value]
    if empty:
        raise UserError(f"{empty[0]}=: the value is missing")
    _require_parts(rest)
    chosen, lengths = _chosen(given), _lengths(given.get("longest", "131072"))
    seconds, folder = _seconds(given.get("seconds", "0.5")), Path(given.get("output", "runs")).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    began, limit = time.monotonic(), available()
    found: list[Priced] = []
    left_out: dict[str, str] = {}
    total = sum(map(len, chosen.values()))
    with console.status("") as status:
        for number, (group, name, make) in enumerate(parts(chosen, rest), 1):
            title = f"{number} of {total}: {group}={name}"
            try:
                found.append(
                    priced(make(), lengths, seconds, MEASURED_SHARE * limit, lambda n: status.update(f"{title}, {n}"))  # noqa: B023 - used at once
                )
            except UserError as error:
                left_out[f"{group}={name}"] = str(error)
    if not found:
        raise UserError(next(iter(left_out.values())))
    origin = {**provenance.code(), "machine": provenance.machine(), "torch": torch.__version__, "memory_bytes": limit}
    written = report.write(found, origin, left_out, folder) + picture.draw(found, limit, folder)
    console.print(report.table(found, limit))
    equal, measured = (sum(counts) for counts in zip(*(one.checked for one in found), strict=True))
    lines = [f"predicted peak = measured peak, to the byte: at {equal} of {measured} points"]
    lines += ["* extrapolated by a law through short lengths that gives what was measured, to the byte"]
    lines += [f"{one.group}={one.choice}: {note}" for one in found for note in one.notes]
    lines += [f"left out: {name}: {reason}" for name, reason in left_out.items()]
    lines += [f"{' '.join(map(shell_quote, written))} ({time.monotonic() - began:.0f} s)"]
    for line in lines:
        console.print(Text(line), soft_wrap=True)


if __name__ == "__main__":
    entry_point.run(main, __doc__, product=True)
