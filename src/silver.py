"""Write silver links of line-aligned text, made by the statistical aligner eflomal, in Pharaoh format.

python src/silver.py source=test.de target=test.en output=test.silver [symmetrize=grow_diag_final_and]
                     [more_source=train.de.gz more_target=train.en.gz]

source=FILE target=FILE            text to align, plain or .gz
output=FILE                        file for the links, a line for each pair
symmetrize=RULE                    rule that combines the links of both directions
more_source=FILE more_target=FILE  additional text to learn from, which improves the links

A run with task.silver=FILE measures its AER against these links as forced/aer_silver.
"""

from pathlib import Path

from softlookup.errors import UserError, key_values, nearest
from softlookup.evaluation.metrics.links import SYMMETRIZATIONS
from softlookup.system import atomic_files, entry_point
from softlookup.text import pharaoh

KEYS = ("source", "target", "output", "more_source", "more_target", "symmetrize")


def made(arguments: list[str]) -> Path:
    """Write the links atomically, and return the path of the file. Raises UserError for invalid arguments or input."""
    given = key_values(arguments, KEYS)
    for key in ("source", "target", "output"):
        if key not in given:
            raise UserError(f"{key}=FILE is missing; needed are source=FILE target=FILE output=FILE")
    rule = given.get("symmetrize", "grow_diag_final_and")
    if rule not in SYMMETRIZATIONS:
        raise UserError(f"symmetrize={rule}: {nearest(rule, SYMMETRIZATIONS)}")
    if ("more_source" in given) != ("more_target" in given):
        raise UserError("more_source and more_target are two sides of one text; give both")
    from softlookup.evaluation.eflomal import aligned, report

    pairs = _pairs(given["source"], given["target"])
    more = _pairs(given["more_source"], given["more_target"]) if "more_source" in given else []
    links = aligned(pairs, more, rule)
    output = Path(given["output"]).expanduser()
    atomic_files.write(output, "".join(f"{pharaoh.written(one)}\n" for one in links).encode())
    report(links)
    return output


def _pairs(source: str, target: str) -> list[tuple[str, str]]:
    from softlookup.task.lines import read_lines

    sides = [list(read_lines(Path(name).expanduser())) for name in (source, target)]
    if len(sides[0]) != len(sides[1]):
        raise UserError(f"{source} has {len(sides[0])} lines and {target} {len(sides[1])}; one translation a line")
    return list(zip(*sides, strict=True))


def main(arguments: list[str]) -> None:
    """Write the links, and print the path of the file."""
    print(made(arguments))


if __name__ == "__main__":
    entry_point.run(main, __doc__)
