"""Write the results of a folder of runs as CSV files (described in softlookup/analysis/csv_export.py).

python src/export.py [runs_dir=runs] [experiment=NAME] [output=RUNS_DIR/tables]

runs_dir=DIR        folder of the runs
experiment=NAME     only this folder in runs_dir
output=DIR          folder for the CSV files
"""

from pathlib import Path

from softlookup.errors import key_values
from softlookup.system import entry_point

KEYS = ("runs_dir", "experiment", "output")


def made(arguments: list[str]) -> Path:
    """Write the files, and return their folder. Raises UserError for an argument that is not KEY=VALUE with a known
    key."""
    given = key_values(arguments, KEYS)
    from softlookup.analysis.csv_export import write

    runs_dir = Path(given.get("runs_dir", "runs")).expanduser()
    return write(runs_dir, Path(given.get("output", runs_dir / "tables")).expanduser(), given.get("experiment"))


def main(arguments: list[str]) -> None:
    """Write the files, and print the path of their folder."""
    print(made(arguments))


if __name__ == "__main__":
    entry_point.run(main, __doc__)
