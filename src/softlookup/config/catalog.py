"""List the choices of conf/, and check that its files contain nothing else, before Hydra reads them.

Hydra instantiates what its own config node names (callbacks, launcher, sweeper, logging handlers) before any run
starts, from any composed file. Here that node may name only the launchers and sweepers of two plugins, and a few plain
values.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from softlookup.errors import UserError, nearest, quote

CONF = Path(__file__).parents[3] / "conf"
GLOBAL = "# @package _global_"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# Keys of Hydra's node that files and the command line may set; below the last two, any plain value.
_HYDRA = ("mode", "output_subdir", "job.chdir", "run.dir", "sweep.dir", "sweep.subdir", "sweeper.max_batch_size")
_HYDRA_BELOW = ("sweeper.params", "launcher")
_PLUGIN = re.compile(r"hydra_plugins\.(softlookup_launcher|hydra_submitit_launcher)\.[\w.]+")
_OWN_TARGET = re.compile(r"softlookup\.[\w.]+")
_INNERMOST = re.compile(r"\$\{(hydra:)?[\w./-]+\}")
_ENTRY = re.compile(r"((override|optional) )*/?\w+(/\w+)*")
_NAME = re.compile(r"[\w-]+")
_WHOLE = re.compile(r"\$\{(\w+)\}")
# Keys that tell Hydra how to instantiate, and are no arguments.
INSTANTIATION_KEYS = frozenset({"_target_", "_args_", "_recursive_", "_convert_"})


def groups() -> dict[str, list[str]]:
    """Return every config group with its choices."""
    return {folder.name: list(presets or choices) for folder, choices, presets in _folders()}


def presets() -> list[str]:
    """Return the groups whose files set the choices and keys of other groups: papers and experiments."""
    return [folder.name for folder, _, presets in _folders() if presets]


def _folders() -> Iterator[tuple[Path, list[str], list[str]]]:
    """Yield every folder of choices, with the names of its files, and of those that are presets."""
    for folder in sorted(path for path in CONF.iterdir() if path.is_dir() and path.name != "hydra"):
        yield folder, *_listed(folder, folder.stat().st_mtime_ns)


@lru_cache(maxsize=128)
def _listed(folder: Path, changed: int) -> tuple[list[str], list[str]]:  # noqa: ARG001 - part of the cache key
    files = sorted(folder.glob("*.yaml"))
    # Other programs may keep files beside presets.
    marked = [file.stem for file in files if file.read_bytes().startswith(GLOBAL.encode())]
    return [file.stem for file in files], marked


class _Read(NamedTuple):
    """Hold what a file of conf/ says: its text, and its keys and values. Shared by all readers: not to be changed."""

    text: str
    content: Any


def _read(file: Path) -> _Read:
    """Read a file of conf/ once for as long as it stays as it is."""
    status = file.stat()
    return _read_once(file, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=1024)
def _read_once(file: Path, changed: int, size: int) -> _Read:  # noqa: ARG001 - part of the cache key
    text = file.read_text(encoding="utf-8")
    return _Read(text, yaml.load(text, _LOADER))


def tables() -> list[str]:
    """Return the keys of conf/train.yaml that hold tables of values for other keys to refer to, as in `tuned`."""
    content = _read(CONF / "train.yaml").content
    return [key for key, value in content.items() if isinstance(value, dict) and key != "hydra"]


def hosts() -> dict[str, dict[str, list[str]]]:
    """Return the groups that a run reads only through another group's choice, each with the choices that refer to it,
    by their group: a normalizer is part of an attention."""
    offered = groups()
    found: dict[str, dict[str, list[str]]] = {}
    for host, choices in offered.items():
        for choice in choices:
            for inside in _WHOLE.findall(_read(CONF / host / f"{choice}.yaml").text):
                if inside in offered:
                    found.setdefault(inside, {}).setdefault(host, []).append(choice)
    return found


def launchers() -> list[str]:
    """Return the choices of hydra/launcher=: those of this project, and Hydra's own sequential launcher."""
    return sorted({"basic", *(path.stem for path in (CONF / "hydra" / "launcher").glob("*.yaml"))})


def no_such_key(path: str) -> UserError:
    """Return the error for an unknown key; it names the choices of the group that have the key, or the nearest keys."""
    group, _, key = path.partition(".")
    has = {file.stem: set(_keys(contents(group, file.stem))) for file in (CONF / group).glob("*.yaml")}
    others = sorted(choice for choice, keys in has.items() if key in keys)
    if others:
        return UserError(
            f"{quote(path)}: the chosen {group} has no such key; {', '.join(others)} {'do' if others[1:] else 'does'}, "
            f"as in {group}={others[0]}"
        )
    keys = set().union(*has.values())
    offer = nearest(key, keys, f"{group}.") if keys else f"{quote(group)} takes no keys"
    return UserError(f"{quote(path)}: no such key; {offer}")


def keys_of(group: str, choice: str = "*") -> set[str]:
    """Return every key of a choice of a group, as in score.width, or of all its choices; empty for an unknown group."""
    return {key for file in (CONF / group).glob(f"{choice}.yaml") for key in _keys(contents(group, file.stem))}


def contents(group: str, choice: str) -> dict[str, Any]:
    """Return what the file of a choice holds, not to be changed."""
    found = _read(CONF / group / f"{choice}.yaml").content
    return found if isinstance(found, dict) else {}


def default(group: str, choice: str, key: str) -> Any:
    """Return the value of a key in the file of a choice, as of `rate`; None if the file does not set it."""
    value: Any = contents(group, choice)
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _keys(content: dict[str, Any]) -> Iterator[str]:
    """Yield every key of a choice that can be changed, as in score.width."""
    for key, value in content.items():
        if not key.startswith("_"):
            yield key
            if isinstance(value, dict):
                yield from (f"{key}.{below}" for below in _keys(value))


def check_files() -> None:
    """Raise UserError for the first file below conf/ that contains more than choices and plain values."""
    for file in sorted(path for folder in (CONF, *CONF.iterdir()) for path in _files(folder, folder != CONF)):
        status = file.stat()
        _check_file(file, status.st_mtime_ns, status.st_size)


def _files(folder: Path, deep: bool) -> Iterator[Path]:
    # conf/experiment is a symbolic link, which rglob from above it would not follow.
    return folder.rglob("*.yaml") if deep else folder.glob("*.yaml")


@lru_cache(maxsize=1024)
def _check_file(file: Path, changed: int, size: int) -> None:  # noqa: ARG001 - part of the cache key
    place = file.relative_to(CONF)
    name = f"conf/{place.as_posix()}"
    try:
        text, content = _read(file)
    except (yaml.YAMLError, ValueError, OSError, RecursionError) as error:
        raise UserError(f"{name}: {quote(' '.join(str(error).split()))}") from error
    preset = place.parts[0] in presets()
    group = "" if preset else ".".join(place.parts[:-1])
    for line in text.splitlines():
        if re.match(r"\s*#\s*@", line) and not (line.strip() == GLOBAL and preset):
            raise UserError(f"{name}: {quote(line.strip())}: a file of {group or 'conf'} cannot be moved")
    if content is None:
        return
    if not isinstance(content, dict):
        raise UserError(f"{name}: expected keys with values, got {type(content).__name__}")
    _check_defaults(name, content.get("defaults", []))
    for path, value in leaves({key: below for key, below in content.items() if key != "defaults"}, group):
        check_leaf(f"{name}: {quote(path)}={quote(value)}", path, value)


def _check_defaults(name: str, defaults: Any) -> None:
    """Allow only names of files of conf/: a path would leave the folder, a package would relocate the file's keys."""
    for entry in defaults if isinstance(defaults, list) else [None]:
        if isinstance(entry, dict) and len(entry) == 1:
            ((group, chosen),) = entry.items()
            names = [each for each in (chosen if isinstance(chosen, list) else [chosen]) if each is not None]
        else:  # the name of a file in the same folder
            group, names = "_", [entry]
        plain = all(isinstance(each, str) and _NAME.fullmatch(each) for each in names)
        if not plain or not (isinstance(group, str) and _ENTRY.fullmatch(group)):
            raise UserError(f"{name}: defaults: {quote(entry)}: expected the names of choices, as in - task: copy")


def leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield every value that is no mapping or list, with its dotted path; list items have a path that ends in `[]`."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield from leaves(below, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value:
        for item in value:
            yield from leaves(item, f"{path}[]")
    else:
        yield path, value


def check_leaf(given: str, path: str, value: Any) -> None:
    """Check one value of a file or of the command line; `given` is its text. `config.resolve` checks the parts that are
    built.

    Raises UserError for a key of Hydra's own node that could run something, for a `_target_` outside softlookup, and
    for an interpolation that does more than refer to a key.
    """
    if re.match(r"hydra\b", path):
        _check_hydra(given, path.removeprefix("hydra."), value)
    elif path.endswith("_target_") and not _OWN_TARGET.fullmatch(str(value)):
        raise UserError(f"{given}: only code of softlookup can be built")
    if isinstance(value, str):
        check_interpolations(given, value)


def _check_hydra(given: str, path: str, value: Any) -> None:
    if path in ("launcher._target_", "sweeper._target_") and _PLUGIN.fullmatch(str(value)):
        return
    known = path in _HYDRA or any(path.startswith(f"{node}.") for node in _HYDRA_BELOW)
    known = known or (path == "sweeper.params" and value is None)
    # Every key of sweeper.params becomes an override of each job.
    plain = re.fullmatch(r"[\w.\[\]]+", path) and not {"hydra", *INSTANTIATION_KEYS} & set(re.split(r"[.\[]", path))
    if not (known and plain):
        raise UserError(
            f"{given}: Hydra itself would act on this; of its own keys, only those of hydra.launcher and "
            f"hydra.sweeper.params can be set, and none that name what is built"
        )


def check_interpolations(given: str, text: str) -> None:
    """Allow `${key}` and `${hydra:key}`; reject resolvers that compute, such as ${oc.env:…} and ${oc.decode:…}."""
    rest, found = text, 1
    while found:
        rest, found = _INNERMOST.subn("x", rest)
    if "${" in rest:
        raise UserError(f"{given}: an interpolation can only name a config key, as in ${{seed}}")
