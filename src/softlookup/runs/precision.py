"""Decide what precision=auto takes. No torch."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from functools import cache
from typing import Literal

from softlookup.config.run_config import RunConfig
from softlookup.errors import UserError

# bf16 is taken only if its products need less than this share of the time: casts around them cost time too.
PAYS = 0.8


def with_precision(config: RunConfig) -> RunConfig:
    """Return a config with the precision that precision=auto takes on this machine: the identity of a run has the one
    that was taken.

    Measured once per process: all runs that it plans, as those of a sweep, take the same. Raises UserError if the
    measurement fails.
    """
    if config.settings.precision != "auto":
        return config
    taken = _faster(config.settings.device)
    choices = dict(config.choices) | ({"precision": taken} if "precision" in config.choices else {})
    return replace(config, settings=replace(config.settings, precision=taken), choices=choices)


@cache
def _faster(device: str) -> Literal["float32", "bf16"]:
    # In a process of its own: one that forks later must have no threads and no CUDA context of torch.
    command = [sys.executable, "-m", "softlookup.system.product_speed", device]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(f"precision=auto could not be measured ({reason}); set precision=float32 or bf16")
    found = json.loads(done.stdout.splitlines()[-1])
    share = found["bf16"] / found["float32"]
    taken: Literal["float32", "bf16"] = "bf16" if share < PAYS else "float32"
    print(f"precision=auto takes {taken}: products in bf16 take {share:.2f} × the time of float32 here")
    return taken
