"""Record where results come from: versions, commit, machine, command."""

import hashlib
import io
import os
import platform
import shlex
import subprocess
import sys
import tarfile
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath
from typing import Any

from softlookup.runs.run_id import DIGITS

_PACKAGES = (
    *("torch", "pytorch-lightning", "torchmetrics", "hydra-core", "wandb", "datasets", "sacrebleu", "entmax"),
    *("tokenizers", "sacremoses"),
)


_PACKAGE = Path(__file__).parents[1]


@cache
def _git(*arguments: str) -> bytes | None:
    """Return the output of a git command in this source tree; None if it is no checkout, or if git is missing."""
    try:
        done = subprocess.run(["git", "-C", str(_PACKAGE), *arguments], capture_output=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def code() -> dict[str, Any]:
    """Return the commit (None outside a checkout), whether files differ from it, and a digest of this package."""
    commit, changes = _git("rev-parse", "HEAD"), _git("status", "--porcelain")
    return {
        "commit": None if commit is None else commit.decode().strip(),
        "dirty": None if changes is None else bool(changes.strip()),
        "source": source(),
    }


def source() -> str:
    """Return a digest of the files of this package."""
    files = ((path.relative_to(_PACKAGE), path.read_bytes()) for path in _PACKAGE.rglob("*.py"))
    return _digest((PurePosixPath(path), content) for path, content in files)


def source_at(commit: str) -> str | None:
    """Return the digest of this package in a commit; None if the commit is not in this checkout."""
    packed = _git("archive", "--format=tar", commit, ".")  # the folder of the package, where git is called
    if packed is None:
        return None
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        members = [member for member in archive.getmembers() if member.isfile() and member.name.endswith(".py")]
        read = [(PurePosixPath(one.name), archive.extractfile(one)) for one in members]
        return _digest((path, file.read()) for path, file in read if file is not None)


def _digest(files: Iterable[tuple[PurePosixPath, bytes]]) -> str:
    content = hashlib.sha256()
    for path, text in sorted(files):
        content.update(str(path).encode() + b"\0" + text + b"\0")
    return content.hexdigest()[:DIGITS]


def machine() -> dict[str, Any]:
    """Return the properties of the machine that affect its speed."""
    return {
        "system": platform.platform(),
        "processor": platform.machine(),
        "model": _model(),
        "cores": os.cpu_count(),
    }


def _model() -> str | None:
    """Return the processor's name; None if it is unknown."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)


def installed(package: str) -> str | None:
    """Return the version of an installed package; None if it is not installed, as softlookup when it runs from src/."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def collect() -> dict[str, Any]:
    """Return versions, code, machine, command and the time of day in UTC; packages that are not installed are left
    out."""
    return {
        "softlookup": installed("softlookup"),
        "python": platform.python_version(),
        "versions": {package: found for package in _PACKAGES if (found := installed(package)) is not None},
        **code(),
        "machine": machine(),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
