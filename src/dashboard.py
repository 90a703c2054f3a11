"""Write the dashboard of a folder of runs, or one picture of it.

python src/dashboard.py [runs_dir=runs] [output=RUNS_DIR/dashboard.html]
python src/dashboard.py picture=FILE.png experiment=NAME [measure=token_accuracy] [runs_dir=runs]
"""

import sys
from pathlib import Path

from softlookup.errors import UserError, key_values

KEYS = ("runs_dir", "output", "picture", "experiment", "measure")


def main(arguments: list[str]) -> Path:
    """The path that was written. Raises UserError for an argument that is not KEY=VALUE with a known key."""
    given = key_values(arguments, KEYS)
    runs_dir = Path(given.get("runs_dir", "runs"))
    if "picture" in given:
        from softlookup.picture import readme_picture
        from softlookup.results import read

        measure = given.get("measure", "token_accuracy")
        return readme_picture(read(runs_dir), given.get("experiment", ""), Path(given["picture"]), measure)
    from softlookup.page import write

    return write(runs_dir, Path(given.get("output", runs_dir / "dashboard.html")))


if __name__ == "__main__":
    try:
        print(main(sys.argv[1:]))
    except UserError as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(f"{error.filename} cannot be written ({error.strerror})")
