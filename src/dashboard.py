"""Write the dashboard of a folder of runs and the page of each run, serve them, or write a single chart.

python src/dashboard.py [runs_dir=runs] [output=RUNS_DIR/dashboard.html]
python src/dashboard.py serve=true [port=8000] [runs_dir=runs]
python src/dashboard.py picture=FILE.png experiment=NAME [measure=token_accuracy] [runs_dir=runs]

runs_dir=DIR        folder of the runs
output=FILE         the dashboard, an HTML page
serve=true          serve it to browsers of this machine (127.0.0.1) until Ctrl-C; it is drawn again when results change
port=8000           port of the server
picture=FILE.png    instead of the page, a chart of one measure of one experiment by source length
experiment=NAME     folder in runs_dir
measure=NAME        a column of by_length in result.json
"""

from softlookup.system.entry_point import announce

if __name__ == "__main__":
    announce("reading the results …")

from pathlib import Path

from softlookup.config.command_line import truth, whole
from softlookup.errors import UserError, key_values
from softlookup.system import entry_point

KEYS = ("runs_dir", "output", "serve", "port", "picture", "experiment", "measure")


def made(given: dict[str, str]) -> Path:
    """Write the file, and return its path."""
    runs_dir = _runs_dir(given)
    if "picture" in given:
        from softlookup.analysis.load import read
        from softlookup.dashboard.static_figure import readme_picture

        measure = given.get("measure", "token_accuracy")
        return readme_picture(read(runs_dir), given.get("experiment", ""), Path(given["picture"]).expanduser(), measure)
    from softlookup.dashboard.page import write

    return write(runs_dir, _page(given))


def _runs_dir(given: dict[str, str]) -> Path:
    return Path(given.get("runs_dir", "runs")).expanduser()


def _page(given: dict[str, str]) -> Path:
    return Path(given.get("output", _runs_dir(given) / "dashboard.html")).expanduser()


def main(arguments: list[str]) -> None:
    """Write the page or the chart and print its path, or serve the page. Raises UserError for an argument that is not
    KEY=VALUE with a known key, and for keys that have no effect together."""
    given = key_values(arguments, KEYS)
    if not truth("serve", given.get("serve", "false")):
        if "port" in given:
            raise UserError(f"port={given['port']} has no effect without serve=true")
        without = [key for key in ("experiment", "measure") if key in given and "picture" not in given]
        if without:
            raise UserError(
                f"{without[0]}={given[without[0]]} has no effect without picture=FILE.png: the page has all"
            )
        if not given.get("picture", ".png").endswith(".png"):
            raise UserError(f"picture={given['picture']}: expected the name of a PNG, as in picture=chart.png")
        print(made(given))
        return
    if "picture" in given:
        raise UserError("serve=true serves the page; leave picture out")
    from softlookup.dashboard.serve import serve

    serve(_runs_dir(given), _page(given), whole("port", given.get("port", "8000"), 1, 65_535))


if __name__ == "__main__":
    entry_point.run(main, __doc__)
