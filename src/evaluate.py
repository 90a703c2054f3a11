"""Evaluate a finished run, on its own or another test set: write one JSON row to standard output and the run's folder.

python src/evaluate.py run=RUN split=validation
python src/evaluate.py run=RUN source=FILE target=FILE,FILE search=beam search.size=5
python src/evaluate.py run=RUN path=DIR split=NAME
python src/evaluate.py run=RUN lengths=64,128,256
python src/evaluate.py run=RUN source=FILE target=FILE against=RUN2

run=RUN             folder of the run, or its id in runs_dir=runs; without a test set below, the run's own
split=NAME          another split of the run's data, or of path=DIR
source=FILE target=FILE[,FILE]   line-aligned text, with one or several references per line
path=DIR columns=NAMES           folder of text, read as with task.path=DIR task.columns=NAMES
lengths=N,N         unseen sources of a synthetic task with these lengths
alignment=FILE silver=FILE       links in Pharaoh format to measure AER against
against=RUN         compare run=RUN with this run by sacrebleu's paired significance tests
search=NAME search.KEY=VALUE     another search than the run's
weights=FILE        .npz or .jsonl: write the attention weights of each reference token, also per head
out=FILE            write the row to this file instead of standard output
device=auto         auto, cpu or cuda
runs_dir=runs       folder in which runs are found by id
"""

from softlookup.system.entry_point import announce

if __name__ == "__main__":
    announce("loading the run …")

import os
import sys
from pathlib import Path
from typing import Any

from softlookup.config.catalog import keys_of
from softlookup.config.command_line import value_of
from softlookup.config.values import coerced
from softlookup.errors import UserError, key_values, nearest, quote
from softlookup.system import atomic_files, entry_point

KEYS = ("run", "runs_dir", "source", "target", "path", "split", "columns", "lengths", "alignment", "silver", "against",
        "weights", "out", "device", "search")  # fmt: skip
SHORTEST, LONGEST = 1, 2_000  # bounds of lengths=; the memory for weights grows with the square of the length


def parsed(arguments: list[str]) -> dict[str, Any]:
    """Parse the arguments into the fields of `Request`. Raises UserError for an argument that is not KEY=VALUE with a
    known key and a valid value, and for combinations that are not allowed."""
    searched = sorted(keys_of("search") - {"n_best"})
    given = key_values(arguments, [*KEYS, *(f"search.{key}" for key in searched)])
    if "run" not in given:
        raise UserError("run=RUN is missing: the folder of a finished run, or its id below runs_dir=runs")
    _check_together(given)
    chosen: dict[str, Any] = {"search": {key: value for key, value in given.items() if key.startswith("search")}}
    for key, value in given.items():
        if key == "lengths":
            chosen[key] = _lengths(value)
        elif key == "target":
            chosen[key] = _files(value)
        elif key == "device":
            if value not in ("auto", "cpu", "cuda"):
                raise UserError(f"device={quote(value)}: {nearest(value, ('auto', 'cpu', 'cuda'))}")
            chosen[key] = value
        elif key in ("source", "path", "weights", "out", "runs_dir"):
            chosen[key] = Path(value).expanduser()
        elif not key.startswith("search"):
            chosen[key] = value
    _check_written(chosen)
    return chosen


def _check_together(given: dict[str, str]) -> None:
    for one, other in (("source", "target"), ("target", "source")):
        if one in given and other not in given:
            raise UserError(f"{one}={quote(given[one])} is one side of a text; give {other}=FILE with it")
    kinds = [key for key in ("source", "path", "lengths") if key in given]
    if len(kinds) > 1:
        raise UserError(f"{' and '.join(kinds)}: one test set at a time; leave one of them out")
    if "split" in given and kinds not in ([], ["path"]):
        raise UserError(f"split={quote(given['split'])} is one of path=DIR, or the run's own; leave it out")
    if "columns" in given and kinds != ["path"]:
        raise UserError(f"columns={quote(given['columns'])} names the columns of a TSV file of path=DIR; leave it out")
    for key in ("alignment", "silver"):
        if key in given and kinds not in (["source"], ["path"]):
            raise UserError(
                f"{key}={quote(given[key])} has the links of a text; give source=FILE target=FILE or path=DIR"
            )


def _lengths(value: str) -> tuple[int, ...]:
    words = value.removeprefix("[").removesuffix("]").split(",")
    lengths = tuple(coerced(value_of("lengths", word), int) for word in words)
    if not all(type(length) is int for length in lengths):
        raise UserError(f"lengths={quote(value)}: expected whole numbers with commas between them, as in 64,128,256")
    if min(lengths) < SHORTEST or max(lengths) > LONGEST or len(set(lengths)) < len(lengths):
        raise UserError(f"lengths={quote(value)}: expected different numbers from {SHORTEST} to {LONGEST:,}")
    return lengths


def _files(value: str) -> tuple[Path, ...]:
    """Parse comma-separated files, or one existing file whose name has commas."""
    whole = Path(value).expanduser()
    return (whole,) if whole.is_file() else tuple(Path(word).expanduser() for word in value.split(","))


def _check_written(chosen: dict[str, Any]) -> None:
    """Raise UserError early where an output file could not be written at the end."""
    out = chosen.get("out")
    if out and not os.path.isdir(out.absolute().parent):
        raise UserError(f"out={quote(out)}: there is no folder {out.absolute().parent}")
    if out and os.path.isdir(out):
        raise UserError(f"out={quote(out)} is a folder; give the name of a file")
    if out and "weights" in chosen and os.path.realpath(out) == os.path.realpath(chosen["weights"]):
        raise UserError(f"out={quote(out)} and weights= are one file; the row and the weights need one each")
    if "weights" in chosen:
        from softlookup.inference.weights_file import check  # imports torch, which takes seconds

        check(chosen["weights"])


def main(arguments: list[str]) -> None:
    """Write the row to standard output or out=FILE, and to the run's folder; one is written even if the other fails."""
    wanted = parsed(arguments)
    from softlookup.inference.evaluate_command import Request, evaluate  # imports torch, which takes seconds
    from softlookup.runs.run_folder import json_of

    done = evaluate(Request(**wanted))
    content = json_of(done.row)
    failed: OSError | None = None
    try:
        atomic_files.write(done.place, content)
    except OSError as error:
        failed = error
    if "out" in wanted:
        atomic_files.write(wanted["out"], content)
    else:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    if failed is not None:
        raise failed


if __name__ == "__main__":
    entry_point.run(main, __doc__, product=True)
