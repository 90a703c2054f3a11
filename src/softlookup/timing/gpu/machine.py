"""Describe the machine: its card, its driver, and the packages that it lacks."""

from __future__ import annotations

import platform
import re
import subprocess
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, version
from importlib.util import find_spec
from typing import Any

import torch

from softlookup.runs import provenance
from softlookup.timing.gpu.sections import Job

# What softlookup needs, by the name of the module.
_MODULES = {
    "hydra": "hydra-core", "omegaconf": "omegaconf", "pytorch_lightning": "pytorch-lightning", "torchmetrics": "",
    "numpy": "", "pandas": "", "rich": "", "mpmath": "", "matplotlib": "", "PIL": "pillow", "sacrebleu": "",
    "tokenizers": "", "entmax": "", "sacremoses": "", "wandb": "", "datasets": "", "pyarrow": "",
    "triton": "", "pytest": "", "xdist": "pytest-xdist", "hypothesis": "", "submitit": "",
}  # fmt: skip


def measure(job: Job) -> Iterator[dict[str, Any]]:
    """Yield the card, the driver, versions, and what is missing."""
    found: dict[str, Any] = {
        "device": job.device,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "driver": _driver(),
        "machine": provenance.machine(),
        "code": provenance.code(),
        "packages": {name: shown for module, name in _named() if (shown := _version(module, name)) is not None},
        "missing": sorted(name for module, name in _named() if find_spec(module) is None),
        "needs": _requirements(),
    }
    if torch.cuda.is_available():
        card = torch.cuda.get_device_properties(0)
        found |= {
            "card": card.name,
            "cards": torch.cuda.device_count(),
            "card_bytes": card.total_memory,
            "capability": f"{card.major}.{card.minor}",
            "multiprocessors": card.multi_processor_count,
        }
    yield found


def _named() -> list[tuple[str, str]]:
    return [(module, name or module) for module, name in _MODULES.items()]


def _version(module: str, name: str) -> str | None:
    if find_spec(module) is None:
        return None
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _requirements() -> list[str] | None:
    """Return what the installed softlookup needs; None where it runs from src/."""
    try:
        return [re.split(r"[;<>=~! ]", line)[0] for line in distribution("softlookup").requires or []]
    except PackageNotFoundError:
        return None


def _driver() -> str | None:
    try:
        done = subprocess.run(
            ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"],
            capture_output=True, text=True, check=True, timeout=20,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.split()[0] if done.stdout.split() else None
