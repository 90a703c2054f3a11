"""Evaluate a finished run again, or on another test set: one row as JSON, on standard output and in the run's folder.

python src/evaluate.py run=RUN [split=validation]      RUN: its folder, or its id below runs_dir=runs; its own test set
python src/evaluate.py run=RUN source=FILE target=FILE[,FILE] [search=beam search.size=5]
                                                       line-aligned text, one reference a line or several
python src/evaluate.py run=RUN path=DIR split=NAME     one split of a folder as task.path=DIR reads it
python src/evaluate.py run=RUN lengths=64,128,256      sources of a synthetic task that training never showed
python src/evaluate.py run=RUN source=FILE target=FILE against=RUN2
                                                       sacrebleu's paired tests: is RUN better than RUN2 by chance?

out=FILE writes the row there instead of to standard output; weights=FILE.npz or .jsonl has what each reference token
looks at; alignment=FILE and silver=FILE are links in Pharaoh format to measure AER against.
"""

import os
import sys
from pathlib import Path
from typing import Any

from softlookup import durable
from softlookup.errors import UserError, key_values, nearest, told
from softlookup.offer import keys_of

KEYS = ("run", "runs_dir", "source", "target", "path", "split", "columns", "lengths", "alignment", "silver", "against",
        "weights", "out", "device", "search")  # fmt: skip
SHORTEST, LONGEST = 1, 2_000  # tokens of a length: weights grow with its square


def parsed(arguments: list[str]) -> dict[str, Any]:
    """The fields of `Asked`. Raises UserError for a word that is not KEY=VALUE with a known key and a fit value, and
    for words that do not go together."""
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
                raise UserError(f"device={told(value)}: {nearest(value, ('auto', 'cpu', 'cuda'))}")
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
            raise UserError(f"{one}={told(given[one])} is one side of a text; give {other}=FILE with it")
    kinds = [key for key in ("source", "path", "lengths") if key in given]
    if len(kinds) > 1:
        raise UserError(f"{' and '.join(kinds)}: one test set at a time; leave one of them out")
    if "split" in given and kinds not in ([], ["path"]):
        raise UserError(f"split={told(given['split'])} is one of path=DIR, or the run's own; leave it out")
    if "columns" in given and kinds != ["path"]:
        raise UserError(f"columns={told(given['columns'])} names the columns of a TSV file of path=DIR; leave it out")
    for key in ("alignment", "silver"):
        if key in given and kinds not in (["source"], ["path"]):
            raise UserError(
                f"{key}={told(given[key])} has the links of a text; give source=FILE target=FILE or path=DIR"
            )


def _lengths(value: str) -> tuple[int, ...]:
    words = value.removeprefix("[").removesuffix("]").split(",")
    if not all(word.strip().isascii() and word.strip().isdecimal() for word in words):
        raise UserError(f"lengths={told(value)}: expected whole numbers with commas between them, as in 64,128,256")
    lengths = tuple(int(word) for word in words)
    if min(lengths) < SHORTEST or max(lengths) > LONGEST or len(set(lengths)) < len(lengths):
        raise UserError(f"lengths={told(value)}: expected different numbers from {SHORTEST} to {LONGEST:,}")
    return lengths


def _files(value: str) -> tuple[Path, ...]:
    """Several files with commas between them, or one whose name has commas."""
    whole = Path(value).expanduser()
    return (whole,) if whole.is_file() else tuple(Path(word).expanduser() for word in value.split(","))


def _check_written(chosen: dict[str, Any]) -> None:
    """Raises UserError where a file could not be written when all is done."""
    out = chosen.get("out")
    if out and not os.path.isdir(out.absolute().parent):
        raise UserError(f"out={told(out)}: there is no folder {out.absolute().parent}")
    if "weights" in chosen:
        from softlookup.weights import check  # imports torch, which takes seconds

        check(chosen["weights"])


def main(arguments: list[str]) -> int:
    """The exit code: 0 done, 1 the row cannot be written, 2 a mistake in what was asked for or read, 130 and 141
    stopped by Ctrl-C or by a reader that wanted no more."""
    try:
        wanted = parsed(arguments)
        from softlookup.evaluate import Asked, evaluate  # imports torch, which takes seconds
        from softlookup.record import json_of

        done = evaluate(Asked(**wanted))
        content = json_of(done.row)
        if "out" in wanted:
            durable.write(wanted["out"], content)
        else:
            sys.stdout.buffer.write(content)
            sys.stdout.buffer.flush()
        durable.write(done.place, content)
    except UserError as mistake:
        print(f"error: {mistake}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what Python flushes at its end
        return 141
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        print(f"error: {error.filename or 'the output'} cannot be written ({error.strerror})", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
