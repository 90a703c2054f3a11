"""Write the dashboard of a folder of runs, or a single chart of it.

python src/dashboard.py [runs_dir=runs] [output=RUNS_DIR/dashboard.html]
python src/dashboard.py picture=FILE.png experiment=NAME [measure=token_accuracy] [runs_dir=runs]

runs_dir=DIR        folder of the runs
output=FILE         the dashboard, an HTML page
picture=FILE.png    instead of the page, a chart of one measure of one experiment by source length
experiment=NAME     folder in runs_dir
measure=NAME        a column of by_length in result.json
"""

from pathlib import Path

from softlookup.errors import key_values
from softlookup.system import entry_point

KEYS = ("runs_dir", "output", "picture", "experiment", "measure")


def made(arguments: list[str]) -> Path:
    """Write the file, and return its path. Raises UserError for an argument that is not KEY=VALUE with a known key."""
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
    """Write the page or the chart, and print its path."""
    print(made(arguments))


if __name__ == "__main__":
    entry_point.run(main, __doc__)
