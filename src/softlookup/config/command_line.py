"""Check the arguments of a command line (flags and key=value) before Hydra reads a file."""

import os
import re
from collections.abc import Iterator, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, Quote, QuotedString
from hydra.errors import HydraException

from softlookup.config.catalog import (
    check_files,
    check_interpolations,
    check_leaf,
    groups,
    launchers,
    leaves,
    tables,
)
from softlookup.config.run_config import PLACES, SPLITS
from softlookup.config.settings import names, paths
from softlookup.config.values import coerced
from softlookup.errors import UserError, nearest, quote, shell_quote

# The supported flags of Hydra, and their short forms. Flags that read configs or objects from elsewhere are left out.
_SHORT = {"-m": "--multirun", "-c": "--cfg", "-p": "--package", "-h": "--help"}
_FLAGS = ("--multirun", "--cfg", "--package", "--resolve", "--help", "--hydra-help")
_SHOWN = ("job", "hydra", "all")
_FUNCTION = re.compile(r"\w+\(.*\)")  # choice(A,B) and the like, which Hydra expands


def split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the flags (each followed by its value) and the overrides, with paths quoted for Hydra. Raises
    UserError."""
    flags: dict[str, str | None] = {}
    overrides: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        if not argument.startswith("-"):
            overrides.append(argument)
            continue
        word, equals, value = argument.partition("=")
        flag = _SHORT.get(word, word)
        if flag not in _FLAGS:
            raise UserError(f"{quote(argument)}: no such flag; {nearest(flag, _FLAGS)}")
        takes = flag in ("--cfg", "--package")
        if equals and not takes:
            raise UserError(f"{quote(argument)}: {flag} takes no value")
        flags[flag] = None if not takes else value if equals else next(rest, "")
    _check_flags(flags)
    several = "--multirun" in flags or any(word.lstrip("+").startswith("experiment=") for word in overrides)
    words = [word for flag, value in flags.items() for word in (flag, value) if word is not None]
    return words, [_quoted(override, several) for override in overrides]


def _quoted(override: str, several: bool) -> str:
    """Quote a path for Hydra, with ~ as the home folder. In a sweep (`several`) a comma separates two paths, unless the
    whole value is an existing path. null, quoted values and Hydra's functions are returned unchanged."""
    key, equals, value = override.partition("=")
    there = os.path.lexists(os.path.expanduser(value))
    if key.lstrip("+") not in _quotable() or value.lower() in ("", "null"):
        return override
    if value[0] in "'\"" and not there:
        return override
    pieces = [value]
    if several and not there:
        if _FUNCTION.fullmatch(value):
            return override
        parts = [part.strip() for part in value.split(",")]
        pieces = parts if all(parts) else pieces
    quoted = (QuotedString(os.path.expanduser(piece), Quote.single).with_quotes() for piece in pieces)
    return f"{key}{equals}{','.join(quoted)}"


def _quotable() -> list[str]:
    """Return the keys whose values are paths or file names: one word of the shell is one value."""
    return [*paths(), *(f"task.{name}" for name in PLACES | SPLITS)]


def _check_flags(flags: dict[str, str | None]) -> None:
    shown = flags.get("--cfg")
    if shown is not None and shown not in _SHOWN:
        raise UserError(f"--cfg {quote(shown)}: expected what to show; valid: {', '.join(_SHOWN)}")
    if shown is not None and "--multirun" in flags:
        raise UserError("--cfg shows the config of one run; leave -m out")
    if shown is None and ("--resolve" in flags or "--package" in flags):
        raise UserError("--resolve and --package say how --cfg shows a config; give --cfg job with them")


def check_overrides(arguments: Sequence[str]) -> None:
    """Reject unknown flags, choices and keys with the nearest valid ones, and files in conf/ that would make Hydra run
    something.

    Raises UserError. `resolve` checks keys below a group (`attention.heads`) against the constructors that take them.
    """
    flags, overrides = split(arguments)
    check_files()
    offered = groups()
    requested = list(parsed(overrides))
    several = "--multirun" in flags or any(override.key_or_group == "experiment" for _, override in requested)
    for given, override in requested:
        _check_key(given, override, offered)
        check_interpolations(given, str(override.input_line))
        if override.is_sweep_override() and not several:
            raise UserError(
                f"{given} asks for several runs; add -m, as in: python src/train.py -m {shell_quote(given)}"
            )


def _check_key(given: str, override: Override, offered: dict[str, list[str]]) -> None:
    name = override.key_or_group
    head = re.split(r"[./]", name)[0]
    if override.package is not None:
        raise UserError(
            f"{given}: a group cannot be moved to a package; write {name}=CHOICE without @{quote(override.package)}"
        )
    if head == "hydra":
        _check_hydra(given, override)
        return
    if head == "choices":
        raise UserError(f"{given}: choices only records what was chosen; choose as in attention=additive")
    known = [*offered, *names()]
    if head not in known and head not in tables():
        raise UserError(f"{given}: no choice or key is named {head!r}; {nearest(head, known)}")
    if override.is_delete():
        raise UserError(f"{given}: no key can be deleted; write {name}=VALUE to change it")
    if name in offered:
        for choice in _choices(override):
            if choice not in offered[name]:
                raise UserError(f"{given}: {name} has no choice {quote(choice)!r}; {nearest(choice, offered[name])}")


def _check_hydra(given: str, override: Override) -> None:
    """Allow a launcher by its name, and plain values of the keys of Hydra that can be set."""
    name = override.key_or_group
    if name == "hydra/launcher" and not override.is_delete():
        for choice in _choices(override):
            if choice not in launchers():
                raise UserError(f"{given}: {name} has no choice {quote(choice)!r}; {nearest(choice, launchers())}")
        return
    if "/" in name or override.is_delete() or override.is_sweep_override() or name.endswith("_target_"):
        raise UserError(f"{given}: of Hydra's own parts only the launcher can be chosen: hydra/launcher=NAME")
    for path, value in leaves(override.value(), name):
        check_leaf(given, path, value)


def parsed(arguments: Sequence[str]) -> Iterator[tuple[str, Override]]:
    """Yield each override with the text that names it. Raises UserError for an argument that is not key=value."""
    parser = OverridesParser.create()
    for argument in arguments:
        try:
            yield quote(argument), parser.parse_override(argument)
        # Too many digits for Python's int, or brackets nested too deep.
        except (HydraException, ValueError, RecursionError) as error:
            raise UserError(f"{quote(argument)}: expected key=value, as in attention=additive or seed=2") from error


def _choices(override: Override) -> list[str]:
    """Return the words that an override selects from a group; none for globs and ranges, which only Hydra can
    expand."""
    value = override.value()
    if override.is_sweep_override() and not isinstance(value, ChoiceSweep):
        return []
    options: list[Any] = (value.list or []) if isinstance(value, ChoiceSweep) else [value]
    words = (option.text if isinstance(option, QuotedString) else option for option in options)
    return ["null" if word is None else str(word) for word in words]


def value_of(key: str, text: str) -> Any:
    """Parse the value of key=text by Hydra's grammar. Raises UserError unless it is exactly one value."""
    ((given, override),) = parsed([f"{key}={text}"])
    if override.is_sweep_override():
        raise UserError(f"{given}: expected one value")
    return override.value()


def whole(key: str, text: str, least: int, most: int) -> int:
    """Parse key=text as a whole number, which may be written as 1e3. Raises UserError for another value."""
    value = coerced(value_of(key, text), int)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise UserError(f"{key}={quote(text)}: expected a whole number from {least:,} to {most:,}")
    return value


def truth(key: str, text: str) -> bool:
    """Parse key=text as true or false. Raises UserError for another value."""
    value = value_of(key, text)
    if not isinstance(value, bool):
        raise UserError(f"{key}={quote(text)}: expected true or false")
    return value
