"""Find fonts for the characters of a picture that matplotlib's own font lacks. No torch.

The installed fonts are read only if a character is missing, since reading them takes seconds on some machines.
"""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Iterable
from functools import cache, lru_cache

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

# Debian's packages by the first word of a character's Unicode name; all other scripts are in NOTO.
NOTO = "fonts-noto-core"
CJK = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "IDEOGRAPHIC", "FULLWIDTH", "HALFWIDTH")
PACKAGES = dict.fromkeys(CJK, "fonts-noto-cjk")
SYMBOLS = "fonts-symbola"

# matplotlib's log says that a font has no normal weight, which does not matter here.
logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)


def fallback(texts: Iterable[str]) -> tuple[list[str], str]:
    """Return the files of installed fonts that have the characters which the default font lacks, and a note.

    The note is one line that names a character of each script which no font has, drawn as boxes, and what to install;
    "" if there are none.
    """
    needed = {ord(character) for text in texts for character in text if _visible(character)}
    missing = frozenset(needed - characters(default()))
    return _found(missing) if missing else ([], "")


@cache
def default(weight: str = "normal") -> str:
    """Return the file of matplotlib's own font."""
    return font_manager.findfont(font_manager.FontProperties(weight=weight))


def _visible(character: str) -> bool:
    return unicodedata.category(character) not in ("Cc", "Cf", "Mc", "Mn", "Zs") and not character.isspace()


@lru_cache(maxsize=16)
def characters(path: str) -> frozenset[int]:
    """Return the characters that a font has."""
    return frozenset(font_manager.get_font(path).get_charmap())


@lru_cache(maxsize=64)
def _found(missing: frozenset[int]) -> tuple[list[str], str]:
    """Choose fonts, each time the one that has most of what is still missing; an upright one if several do."""
    known = _installed(missing)
    left, chosen = set(missing), []
    while left and known:
        best = max(sorted(known), key=lambda path: (len(known[path][0] & left), known[path][1]))
        if not known[best][0] & left:
            break
        chosen.append(best)
        left -= known.pop(best)[0]
    return chosen, _note(left)


def _installed(missing: frozenset[int]) -> dict[str, tuple[set[int], bool]]:
    """Return, for each installed outline font, which of the characters it has, and whether it is a regular one."""
    found = {}
    for path in font_manager.findSystemFonts():
        try:
            font = FT2Font(path)
        except (OSError, RuntimeError):  # a broken font, or a format that FreeType lacks
            continue
        if font.scalable:  # bitmaps of coloured characters have one size
            found[path] = (set(font.get_charmap()) & missing, font.style_name in ("Regular", "Book"))
    return found


def _note(missing: set[int]) -> str:
    if not missing:
        return ""
    examples = {_script(chr(code)): chr(code) for code in sorted(missing, reverse=True)}
    named = ", ".join(f"{examples[script]} ({script})" for script in sorted(examples))
    packages = " ".join(sorted({_package(character) for character in examples.values()}))
    return f"no installed font has {named}: drawn as boxes; install one, as in: apt install {packages}"


def _script(character: str) -> str:
    """Return the first word of a character's name, which is its script for letters.

    >>> _script("ก"), _script("語"), _script("\\U0001f600")
    ('Thai', 'CJK', 'symbols')
    """
    if not unicodedata.category(character).startswith(("L", "M", "N")):
        return "symbols"
    word = unicodedata.name(character, "UNNAMED").split()[0]
    return word if word == "CJK" else word.capitalize()


def _package(character: str) -> str:
    first = unicodedata.name(character, "UNNAMED").split()[0]
    return PACKAGES.get(first) or (SYMBOLS if _script(character) == "symbols" else NOTO)
