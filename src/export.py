"""Write the results of a folder of runs as CSV files (which ones, and what is in them: softlookup/export.py).

python src/export.py [runs_dir=runs] [experiment=NAME] [output=RUNS_DIR/tables]
"""

import sys
from pathlib import Path

from softlookup.errors import UserError, key_values

KEYS = ("runs_dir", "experiment", "output")


def main(arguments: list[str]) -> Path:
    """The folder that was written. Raises UserError for an argument that is not KEY=VALUE with a known key."""
    given = key_values(arguments, KEYS)
    from softlookup.export import write

    runs_dir = Path(given.get("runs_dir", "runs"))
    return write(runs_dir, Path(given.get("output", runs_dir / "tables")), given.get("experiment"))


if __name__ == "__main__":
    try:
        print(main(sys.argv[1:]))
    except UserError as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(f"{error.filename} cannot be written ({error.strerror})")
