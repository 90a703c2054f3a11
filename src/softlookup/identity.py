"""Which run a config is: what of it counts, and the name that it has. No torch."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

# What says where and how a run is kept, watched or computed, and not which run it is. `choices` are the names of
# parts that are hashed by their content. `task.path` is not here: another folder may hold other sentences.
UNHASHED = frozenset(
    {"runs_dir", "experiment_name", "experiment", "tracking", "workers", "threads", "processes", "device"}
    | {"memory", "checkpoint_seconds", "debug", "confirm", "choices", "tuned"}
)
_DIGITS = 12  # 48 bits: among 10,000 runs two share them once in six million sweeps


def hashed(config: dict[str, Any]) -> dict[str, Any]:
    """The part of a config that says which run it is."""
    return {key: value for key, value in config.items() if key not in UNHASHED}


def run_id(config: dict[str, Any]) -> str:
    """`attention-encoder-task-sSEED-HASH`, as in `additive-gru-reverse-s3-1f9c2a0b57de`.

    HASH begins the SHA-256 of the config as JSON with sorted keys, without the keys of `UNHASHED`.
    """
    canonical = json.dumps(hashed(config), sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(canonical.encode()).hexdigest()[:_DIGITS]
    words = [str(config["choices"][group]) for group in ("attention", "encoder", "task")]
    stem = "-".join(re.sub(r"[^\w.]+", "_", word) for word in words)
    return f"{stem}-s{config['seed']}-{digest}"


def names_seed(name: str, seed: int) -> bool:
    """Whether the name of a run, as `run_id` makes it, holds that seed."""
    return f"-s{seed}-" in f"{name}-"
