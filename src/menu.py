"""The choices on offer, from the first line of prose of each file in conf/.

python src/menu.py                  print them
python src/menu.py write=README.md  put them between the README's menu marks

write=FILE          a file that has the marks <!-- menu --> and <!-- /menu -->
"""

import re
from pathlib import Path

from softlookup.config.catalog import CONF, groups
from softlookup.errors import UserError
from softlookup.system import entry_point

MARKS = re.compile(r"(<!-- menu -->\n).*?(<!-- /menu -->)", re.DOTALL)


def phrase(group: str, choice: str) -> str:
    """What the file says of itself: its first line of prose, a comment; of an experiment, its question."""
    for line in (CONF / group / f"{choice}.yaml").read_text(encoding="utf-8").splitlines():
        words = line.removeprefix("#").strip()
        if not line.startswith("#"):
            break
        if words and not words.startswith("@package"):
            return words.removeprefix("Question").strip()
    return ""


def table() -> str:
    """All groups as one Markdown table."""
    lines = ["| group | choice | |", "|---|---|---|"]
    for group, choices in groups().items():
        for place, choice in enumerate(choices):
            lines.append(f"| {f'`{group}=`' if place == 0 else ''} | `{choice}` | {phrase(group, choice)} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> None:
    """Raises UserError for an unknown argument or a file without the marks."""
    if not arguments:
        print(table(), end="")
        return
    key, _, value = arguments[0].partition("=")
    if key != "write" or len(arguments) > 1 or not Path(value).is_file():
        raise UserError(f"{' '.join(arguments)}: expected nothing, or write=FILE with an existing file")
    text = Path(value).read_text(encoding="utf-8")
    if not MARKS.search(text):
        raise UserError(f"{value} has no <!-- menu --> and <!-- /menu --> to write between")
    Path(value).write_text(MARKS.sub(lambda marks: marks[1] + table() + marks[2], text), encoding="utf-8")


if __name__ == "__main__":
    entry_point.run(main, __doc__, product=True)
