"""Record where results come from: versions, commit, machine, command."""

import hashlib
import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from softlookup.runs.run_id import DIGITS

_PACKAGES = (
    *("torch", "pytorch-lightning", "torchmetrics", "hydra-core", "wandb", "datasets", "sacrebleu", "entmax"),
    *("tokenizers", "sacremoses"),
)


@cache
def _git(*arguments: str) -> str | None:
    """Return the output of a git command in this source tree; None if it is no checkout, or if git is missing."""
    try:
        done = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), *arguments],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def code() -> dict[str, Any]:
    """Return the commit (None outside a checkout), whether files differ from it, and a digest of this package."""
    changes = _git("status", "--porcelain")
    package = Path(__file__).parents[1]
    content = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        content.update(str(path.relative_to(package)).encode() + b"\0" + path.read_bytes() + b"\0")
    return {
        "commit": _git("rev-parse", "HEAD"),
        "dirty": None if changes is None else bool(changes),
        "source": content.hexdigest()[:DIGITS],
    }


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
