"""Write the dashboard of a folder of runs, or one picture of it.

python src/dashboard.py [runs_dir=runs] [output=RUNS_DIR/dashboard.html]
python src/dashboard.py picture=FILE.png experiment=NAME [measure=token_accuracy] [runs_dir=runs]

runs_dir=DIR        where the runs are
output=FILE         the page
picture=FILE.png    no page, but one measure by source length, of one experiment
experiment=NAME     the folder below runs_dir
measure=NAME        a column of by_length in result.json
"""

from pathlib import Path

from softlookup.errors import key_values
from softlookup.system import entry_point

KEYS = ("runs_dir", "output", "picture", "experiment", "measure")


def made(arguments: list[str]) -> Path:
    """Return the path that was written. Raises UserError for an argument that is not KEY=VALUE with a known key."""
    given = key_values(arguments, KEYS)
    runs_dir = Path(given.get("runs_dir", "runs")).expanduser()
    if "picture" in given:
        from softlookup.analysis.load import read
        from softlookup.dashboard.static_figure import readme_picture

        measure = given.get("measure", "token_accuracy")
        return readme_picture(read(runs_dir), given.get("experiment", ""), Path(given["picture"]).expanduser(), measure)
    from softlookup.dashboard.page import write

    return write(runs_dir, Path(given.get("output", runs_dir / "dashboard.html")).expanduser())


def main(arguments: list[str]) -> None:
    """Write what is asked for, and print where it lies."""
    print(made(arguments))


if __name__ == "__main__":
    entry_point.run(main, __doc__)
