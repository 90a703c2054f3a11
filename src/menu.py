"""The choices on offer, from the first line of prose of each file in conf/.

python src/menu.py                       print them
python src/menu.py write=conf/README.md  put them between the menu marks of a file
python src/menu.py check=conf/README.md  fail where the file has others

write=FILE check=FILE   a file that has the marks <!-- menu --> and <!-- /menu -->
"""

import re
from pathlib import Path

from softlookup.config.catalog import CONF, groups
from softlookup.errors import UserError
from softlookup.system import entry_point

MARKS = re.compile(r"(<!-- menu -->\n).*?(<!-- /menu -->)", re.DOTALL)


def phrase(group: str, choice: str) -> str:
    """Return what the file says of itself: its first line of prose, a comment; of an experiment, its question."""
    for line in (CONF / group / f"{choice}.yaml").read_text(encoding="utf-8").splitlines():
        words = line.removeprefix("#").strip()
        if not line.startswith("#"):
            break
        if words and not words.startswith("@package"):
            return words.removeprefix("Question").strip()
    return ""


def table() -> str:
    """Return all groups as one Markdown table."""
    lines = ["| group | choice | |", "|---|---|---|"]
    for group, choices in groups().items():
        for place, choice in enumerate(choices):
            lines.append(f"| {f'`{group}=`' if place == 0 else ''} | `{choice}` | {phrase(group, choice)} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> None:
    """Raise UserError for an unknown argument, a file without the marks, and one whose list is not the present one."""
    if not arguments:
        print(table(), end="")
        return
    key, _, value = arguments[0].partition("=")
    if key not in ("write", "check") or len(arguments) > 1 or not Path(value).is_file():
        raise UserError(f"{' '.join(arguments)}: expected nothing, or write=FILE or check=FILE with an existing file")
    text = Path(value).read_text(encoding="utf-8")
    if not MARKS.search(text):
        raise UserError(f"{value} has no <!-- menu --> and <!-- /menu --> to write between")
    present = MARKS.sub(lambda marks: marks[1] + table() + marks[2], text)
    if key == "write":
        Path(value).write_text(present, encoding="utf-8")
    elif present != text:
        raise UserError(f"{value} lists other choices than conf/ holds; type: make menu")


if __name__ == "__main__":
    entry_point.run(main, __doc__, product=True)
