"""List all config choices, described by the first line of prose of each file in conf/, and all settings.

python src/menu.py                       print the list
python src/menu.py write=conf/README.md  write it between the menu marks of a file
python src/menu.py check=conf/README.md  fail if the list in the file is out of date

write=FILE check=FILE   a file with the marks <!-- menu --> and <!-- /menu -->
"""

import json
import re
from pathlib import Path

from softlookup.config.catalog import CONF, groups
from softlookup.config.settings import explanations
from softlookup.errors import UserError
from softlookup.system import entry_point

MARKS = re.compile(r"(<!-- menu -->\n).*?(<!-- /menu -->)", re.DOTALL)


def phrase(group: str, choice: str) -> str:
    """Return the description of a choice: the first line of prose in its file's comment; for an experiment, its
    question."""
    for line in (CONF / group / f"{choice}.yaml").read_text(encoding="utf-8").splitlines():
        words = line.removeprefix("#").strip()
        if not line.startswith("#"):
            break
        if words and not words.startswith("@package"):
            return words.removeprefix("Question").strip()
    return ""


def table() -> str:
    """Return all groups and their choices, and all settings, as Markdown tables."""
    lines = ["| group | choice | |", "|---|---|---|"]
    for group, choices in groups().items():
        for place, choice in enumerate(choices):
            lines.append(f"| {f'`{group}=`' if place == 0 else ''} | `{choice}` | {phrase(group, choice)} |")
    lines += ["", "| setting | default | |", "|---|---|---|"]
    for name, (default, text) in explanations().items():
        value = json.dumps(default).strip('"')
        lines.append(f"| `{name}=` | `{value}` | {text.replace('|', '/')} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> None:
    """Print, write or check the list. Raises UserError for an unknown argument, a file without the marks, and a list
    that is out of date."""
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
