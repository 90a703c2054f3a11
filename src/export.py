"""Write the results of a folder of runs as CSV files (which ones, and what is in them: softlookup/export.py).

python src/export.py [runs_dir=runs] [experiment=NAME] [output=RUNS_DIR/tables]

runs_dir=DIR        where the runs are
experiment=NAME     this folder below runs_dir alone
output=DIR          where the files go
"""

from pathlib import Path

from softlookup.errors import key_values
from softlookup.system import entry_point

KEYS = ("runs_dir", "experiment", "output")


def made(arguments: list[str]) -> Path:
    """Return the folder that was written. Raises UserError for an argument that is not KEY=VALUE with a known key."""
    given = key_values(arguments, KEYS)
    from softlookup.analysis.csv_export import write

    runs_dir = Path(given.get("runs_dir", "runs")).expanduser()
    return write(runs_dir, Path(given.get("output", runs_dir / "tables")).expanduser(), given.get("experiment"))


def main(arguments: list[str]) -> None:
    """Write what is asked for, and print where it lies."""
    print(made(arguments))


if __name__ == "__main__":
    entry_point.run(main, __doc__)
