"""Align text with the statistical aligner eflomal, for silver (never gold) links.

eflomal (Östling & Tiedemann 2016) is an optional extra under the GPL, and runs as a separate program. It samples from a
seed that cannot be set, so two runs differ in a few links. Silver links are therefore a file that is made once and
kept.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path

from softlookup.errors import UserError
from softlookup.evaluation.metrics.links import SYMMETRIZATIONS, lifted
from softlookup.text import pharaoh, word_alignment
from softlookup.text.normalize_line import Form
from softlookup.text.pharaoh import Links

PROGRAM = "eflomal-align"
_FORM = Form(lowercase=True)
_TOKEN = re.compile(r"\w+|[^\w\s]")

Pair = tuple[str, str]


def aligned(pairs: Sequence[Pair], more: Sequence[Pair], symmetrize: str) -> list[Links]:
    """Return the links between the words of each of `pairs`, learnt from `pairs` and `more` together.

    The aligner receives lowercased text with punctuation separated; the links are mapped back to words separated by
    blanks. A pair with an empty side has no links. Raises UserError if the program is missing or fails.
    """
    rows = [[_tokens(side) for side in pair] for pair in (*pairs, *more)]
    sent = [place for place, (source, target) in enumerate(rows) if source and target]
    found: list[Links] = [frozenset()] * len(pairs)
    if not sent:
        return found
    texts = ["".join(" ".join(token for token, _ in rows[place][side]) + "\n" for place in sent) for side in (0, 1)]
    rule = SYMMETRIZATIONS[symmetrize]
    for place, forward, backward in zip(sent, *_run(texts, len(sent)), strict=True):
        if place < len(pairs):
            source, target = ([word for _, word in side] for side in rows[place])
            found[place] = lifted(rule(forward, backward), source, target)
    return found


def _tokens(text: str) -> list[tuple[str, int]]:
    """Return the lowercased words and punctuation marks of a line, each with the index of its blank-separated word."""
    words = word_alignment.split(_FORM.composed(text))
    return [(token, place) for place, word in enumerate(words) for token in _TOKEN.findall(_FORM.cased(word))]


def _run(texts: list[str], count: int) -> tuple[list[Links], list[Links]]:
    """Run the aligner, and return the links of both directions, all as (source, target)."""
    program = shutil.which(PROGRAM, path=sysconfig.get_path("scripts")) or shutil.which(PROGRAM)
    if program is None:
        raise UserError(f"{PROGRAM} is not installed: pip install eflomal (needs a C compiler), or softlookup[silver]")
    with tempfile.TemporaryDirectory() as folder:
        names = ("source", "target", "forward", "backward")
        files = {name: Path(folder) / name for name in names}
        for name, text in zip(names, texts, strict=False):
            files[name].write_text(text, encoding="utf-8")
        flags = [word for flag, name in zip("stfr", names, strict=True) for word in (f"-{flag}", str(files[name]))]
        done = subprocess.run([program, *flags], capture_output=True, text=True, errors="replace", check=False)
        if done.returncode:
            message = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise UserError(f"{program} exited with code {done.returncode}: {message}")
        both = [[gold.sure for gold in pharaoh.read(files[name])] for name in names[2:]]
    if [len(links) for links in both] != [count, count]:
        raise UserError(f"{program} returned links of {len(both[0])} and {len(both[1])} pairs for {count}")
    return both[0], both[1]


def report(links: Sequence[Links]) -> None:
    """Print the number of pairs and links to the error stream."""
    print(f"{len(links):,} pairs, {sum(map(len, links)):,} links, silver", file=sys.stderr)
