"""Where a figure comes from: versions, commit, machine, command."""

import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

_PACKAGES = (
    *("torch", "pytorch-lightning", "torchmetrics", "hydra-core", "wandb", "datasets", "sacrebleu", "entmax"),
    *("tokenizers", "sacremoses"),
)


@cache
def _git(*arguments: str) -> str | None:
    """Git's answer about this source tree; None where it is not a checkout or there is no git."""
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


def collect() -> dict[str, Any]:
    """Versions, commit (None outside a checkout), dirty flag, machine, command and the time of day in UTC."""
    changes = _git("status", "--porcelain")
    return {
        "softlookup": version("softlookup"),
        "python": platform.python_version(),
        "versions": {package: version(package) for package in _PACKAGES},
        "commit": _git("rev-parse", "HEAD"),
        "dirty": None if changes is None else bool(changes),
        "machine": {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
