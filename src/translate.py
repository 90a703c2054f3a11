"""Translate lines with a finished run, from standard input or text=LINE; one output line for each input line.

python src/translate.py run=RUN < input.txt > output.txt
python src/translate.py run=RUN text="Ein Mann schläft." alignment=true plot=FILE.png
python src/translate.py run=RUN n_best=5 search=beam search.size=5
python src/translate.py run=RUN target=FILE gold=FILE reverse=RUN2 symmetrize=grow_diag_final_and

run=RUN             folder of the run, or its id in runs_dir=runs
text=LINE           translate this line instead of standard input
alignment=true      append a tab and the word links, source-target, counted from 0
plot=FILE           write heat maps of the attention weights, .png or .html
weights=FILE        write the attention weights of every line with the tokens, also per head, .npz or .jsonl
replace_unknown=true   replace each unknown word by the source word with the highest weight
n_best=N            print line number, score and translation of the N best hypotheses for each line
search=NAME search.KEY=VALUE   another search than the run's, as in search=beam search.length_penalty=0.6
target=FILE         do not translate, but align the lines with the given translations
gold=FILE           print the AER of these links against those of FILE (Pharaoh format)
reverse=RUN symmetrize=RULE    symmetrize with a run of the other direction: intersection, union or grow_diag_final_and
batch=64            lines per batch
device=auto         auto, cpu or cuda
runs_dir=runs       folder in which runs are found by id

An invalid line (too long, not UTF-8, a NUL byte) is reported by its number and left empty; the exit code is then 3.
"""

from softlookup.system.entry_point import announce

if __name__ == "__main__":
    announce("loading the run …")

import os
import sys
from pathlib import Path
from typing import Any

from softlookup.config.catalog import keys_of
from softlookup.config.command_line import truth, whole
from softlookup.errors import UserError, key_values, nearest, quote
from softlookup.evaluation.metrics.links import SYMMETRIZATIONS
from softlookup.system import entry_point

KEYS = ("run", "runs_dir", "text", "alignment", "plot", "weights", "n_best", "replace_unknown", "target", "reverse",
        "symmetrize", "gold", "batch", "device", "search")  # fmt: skip
NEED_TARGET = ("symmetrize", "reverse", "gold")


def parsed(arguments: list[str]) -> dict[str, Any]:
    """Parse the arguments into the fields of `Request`. Raises UserError for an argument that is not KEY=VALUE with a
    known key and a valid value, and for combinations that are not allowed."""
    given = key_values(arguments, [*KEYS, *(f"search.{key}" for key in keys_of("search"))])
    if "run" not in given:
        raise UserError("run=RUN is missing: the folder of a finished run, or its id below runs_dir=runs")
    chosen: dict[str, Any] = {"search": {key: value for key, value in given.items() if key.startswith("search")}}
    for key, value in given.items():
        if key in ("n_best", "batch"):
            chosen[key] = whole(key, value, 1, 10_000)
        elif key in ("alignment", "replace_unknown"):
            chosen[key] = truth(key, value)
        elif key in ("symmetrize", "device"):
            chosen[key] = _one_of(
                key, value, tuple(SYMMETRIZATIONS) if key == "symmetrize" else ("auto", "cpu", "cuda")
            )
        elif key in ("plot", "weights", "target", "gold", "runs_dir"):
            chosen[key] = Path(value).expanduser()
        elif not key.startswith("search"):
            chosen[key] = value
    _check_together(given, chosen)
    return chosen


def _check_together(given: dict[str, str], chosen: dict[str, Any]) -> None:
    for key in NEED_TARGET:
        if key in given and "target" not in given:
            raise UserError(f"{key}={quote(given[key])} is for links of given translations; give target=FILE with it")
    if "symmetrize" in given and "reverse" not in given:
        raise UserError(f"symmetrize={given['symmetrize']} needs a model of the other direction: reverse=RUN")
    if "target" in given and (chosen["search"] or chosen.get("n_best", 1) > 1 or chosen.get("replace_unknown")):
        raise UserError(
            "target=FILE gives the translations: there is nothing to search and nothing unknown to replace; leave "
            "search, n_best and replace_unknown out"
        )
    if "weights" in chosen:
        from softlookup.inference.weights_file import check  # imports torch, which takes seconds

        check(chosen["weights"])
    plot = chosen.get("plot")
    if plot and plot.suffix not in (".png", ".html"):
        raise UserError(f"plot={quote(plot)}: expected a name that ends with .png or .html")
    if plot and not os.path.isdir(plot.absolute().parent):
        raise UserError(f"plot={quote(plot)}: there is no folder {plot.absolute().parent}")
    if chosen.get("n_best", 1) > 1:
        chosen["search"] |= {"search.n_best": str(chosen["n_best"])}


def _one_of(key: str, value: str, valid: tuple[str, ...]) -> str:
    if value not in valid:
        raise UserError(f"{key}={quote(value)}: {nearest(value, valid)}")
    return value


def main(arguments: list[str]) -> int:
    """Translate or align, and return the exit code: 0 success, 3 success except for invalid lines, which are reported
    and left empty. As for all programs (`system.entry_point`): 1 output cannot be written, 2 invalid arguments or
    input, 130 Ctrl-C, 141 the reader of the output has exited."""
    wanted = parsed(arguments)
    from softlookup.inference.translate_command import Command, Request  # imports torch, which takes seconds

    verb = Command(Request(**wanted), sys.stdout.buffer)
    verb.run(sys.stdin.buffer, interactive=sys.stdin.isatty())
    return 3 if verb.refused else 0


if __name__ == "__main__":
    entry_point.run(main, __doc__, product=True)
