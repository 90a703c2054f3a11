"""Write the finding of an experiment into experiments/README.md: its rows of the table, its tables, its picture.

python src/findings.py experiment=NAME [runs_dir=runs]

experiment=NAME     folder in runs_dir, and a file of experiments/
runs_dir=DIR        folder of the runs

Only the text between the marks of the experiment is replaced: <!-- rows:NAME --> … <!-- /rows:NAME --> in the table,
<!-- findings:NAME --> … <!-- /findings:NAME --> in its section, and, where README.md has them, <!-- sentences:NAME -->.
The picture is experiments/NAME.png.
"""

from softlookup.system.entry_point import announce

if __name__ == "__main__":
    announce("reading the results …")

import re
import shlex
from pathlib import Path
from typing import Any

import pandas as pd

from menu import phrase
from softlookup.analysis.findings import Origin, missing, section, sentences, table_rows
from softlookup.analysis.headline import findings as headlines
from softlookup.analysis.load import read
from softlookup.errors import UserError, key_values
from softlookup.runs import provenance, validated_files
from softlookup.system import atomic_files, entry_point

KEYS = ("experiment", "runs_dir")
HOUSE = Path(__file__).parents[1]
# Keys that change neither a result nor which runs there are.
WITHOUT_EFFECT = ("runs_dir", "workers", "tracking", "confirm")


def written(name: str, runs_dir: Path, house: Path = HOUSE) -> pd.DataFrame:
    """Write the finding of an experiment, and return its rows.

    Raises UserError for an experiment without runs, without marks or without a comparison, and for runs whose code is
    not that of a commit; nothing is written then.
    """
    everything = read(runs_dir)
    rows = everything[everything["experiment"] == name]
    if rows.empty:
        raise UserError(f"experiment={name} has no runs in {runs_dir}; type: make sweep EXPERIMENT={name}")
    answers = [one for one in headlines(everything) if one.experiment == name]
    place = house / "experiments" / "README.md"
    results = [validated_files.result(folder / "result.json") for folder in rows.loc[rows["counted"], "folder"]]
    cells = table_rows(rows, answers, f"[{name}](#{name}): {phrase('experiment', name)}", origin(name, results))
    if not cells:
        raise UserError(f"experiment={name} has no finished variants to compare; type: make sweep EXPERIMENT={name}")
    text = place.read_text(encoding="utf-8")
    text = _replaced(text, "rows", name, cells, place)
    text = _replaced(text, "findings", name, f"\n{section(rows, f'{name}.png')}", place)
    front = house / "README.md"
    first = front.read_text(encoding="utf-8")
    if f"<!-- sentences:{name} -->" in first:
        begin = f"**Result of `make sweep{'' if name == 'bottleneck' else f' EXPERIMENT={name}'}`:**"
        first = _replaced(first, "sentences", name, f"\n{sentences(answers, begin)}", front)
    from softlookup.dashboard.static_figure import readme_picture

    readme_picture(rows, name, place.with_name(f"{name}.png"))
    atomic_files.write(place, text.encode())
    atomic_files.write(front, first.encode())
    return rows


def _replaced(text: str, kind: str, name: str, content: str, path: Path) -> str:
    """Return a text with new content between two marks. Raises UserError unless it has them once, in this order."""
    begin, end = f"<!-- {kind}:{name} -->", f"<!-- /{kind}:{name} -->"
    found = re.findall(f"{re.escape(begin)}.*?{re.escape(end)}", text, re.DOTALL)
    if len(found) != 1 or text.count(begin) != 1 or text.count(end) != 1:
        raise UserError(f"{path}: expected {begin} and after it {end}, each once; put them where the text belongs")
    return text.replace(found[0], f"{begin}{content}{end}")


def origin(name: str, results: list[dict[str, Any]]) -> Origin:
    """Return where results come from. Raises UserError for results whose code is not that of a commit: nobody could
    repeat them. A tree with other changes than in the package counts as its commit."""
    found = [result.get("provenance") or {} for result in results]
    for one in {(one.get("commit"), one.get("dirty"), one.get("source")) for one in found}:
        commit, dirty, source = one
        if not commit or (dirty and provenance.source_at(commit) != source):
            where = f"a tree that differs from commit {commit[:7]}" if commit else "code outside a checkout"
            raise UserError(f"experiment={name} has runs of {where}; commit, and run it again: rm -r its folder first")
    dates = sorted({str(one.get("finished"))[:10] for one in found})
    commits = dict.fromkeys(one["commit"][:7] for one in sorted(found, key=lambda one: str(one.get("finished"))))
    commands = dict.fromkeys(command(name, one["command"]) for one in found)
    between = " to ".join(dict.fromkeys([*dates[:1], *dates[-1:]]))
    return Origin(" and ".join(commands), between, ", ".join(commits))


def command(name: str, typed: str) -> str:
    """Return the shortest command that makes the same runs.

    >>> command("scores", "train.py --multirun experiment=scores workers=2 seed=1,2")
    'make sweep EXPERIMENT=scores ARGS="seed=1,2"'
    """
    words = [word for word in shlex.split(typed)[1:] if word.partition("=")[0] not in WITHOUT_EFFECT]
    more = [word for word in words if word not in ("-m", "--multirun", f"experiment={name}")]
    if len(words) - len(more) < 2:
        return shlex.join(["python", "src/train.py", *words])
    return f"make sweep EXPERIMENT={name}" + (f' ARGS="{shlex.join(more)}"' if more else "")


def main(arguments: list[str]) -> None:
    """Write the finding, and print what was written and how many runs are missing."""
    given = key_values(arguments, KEYS)
    if "experiment" not in given:
        raise UserError("experiment=NAME is missing; type: make findings EXPERIMENT=NAME")
    rows = written(given["experiment"], Path(given.get("runs_dir", "runs")).expanduser())
    print(f"experiments/README.md, experiments/{given['experiment']}.png")
    print(missing(rows) or f"all {rows['planned'].sum()} planned runs have a result")


if __name__ == "__main__":
    entry_point.run(main, __doc__)
