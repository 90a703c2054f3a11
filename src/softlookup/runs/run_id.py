"""Identify a run by the content of its config and of its data. No torch."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

# Counts what a run's figures mean. Raise it with every change that moves them: runs of another version have other
# names, are shown as older code, and are compared with nothing.
VERSION = 3
# Says where and how a run is kept, watched or computed, and not which run it is. `choices` are the names of parts that
# are hashed by their content; a normalizer, a window and a segmentation are hashed where an attention or a task uses
# them; of the run that another starts from the digest of its weights counts, under `data`, and of one that is gone on
# with its budget and validations, under `continued`.
UNHASHED = frozenset(
    {"runs_dir", "experiment_name", "experiment", "tracking", "workers", "threads", "processes", "device"}
    | {"memory", "checkpoint_seconds", "debug", "confirm", "choices", "tuned", "normalizer", "window", "segmentation"}
    | {"init_from", "continue_from", "keep_state"}
)
# Says where a task reads its data. What was read there counts instead: its digests stand under `data`.
LOCATIONS = frozenset({"path", "dataset", "columns", "alignment", "silver", "train", "validation", "test"})
DIGITS = 12  # 48 bits: among 10,000 runs two share them once in six million sweeps


def hashed(config: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a config that says which run it is."""
    kept = {key: value for key, value in config.items() if key not in UNHASHED and not (key == "data" and not value)}
    if isinstance(kept.get("task"), dict):
        kept["task"] = {key: value for key, value in kept["task"].items() if key not in LOCATIONS}
    return kept


def run_id(config: dict[str, Any]) -> str:
    """Name a run `attention-encoder-task-sSEED-HASH`, as in `additive-gru-reverse-s3-1f9c2a0b57de`.

    HASH begins the SHA-256 of `hashed(config)` and VERSION as JSON with sorted keys.
    """
    return f"{_stem(config)}-s{config['seed']}-{_digest(hashed(config))}"


def variant_name(config: dict[str, Any]) -> str:
    """Name what the seeds of one variant share, as in `additive-gru-reverse-5d1c0b7e2f9a`."""
    return f"{_stem(config)}-{variant_key(config)}"


def with_variant(config: dict[str, Any]) -> dict[str, Any]:
    """Add the name of the variant, by which W&B can group the seeds of one."""
    return config | {"variant": variant_name(config)}


def _stem(config: dict[str, Any]) -> str:
    words = [str(config["choices"][group]) for group in ("attention", "encoder", "task")]
    return "-".join(re.sub(r"[^\w.]+", "_", word) for word in words)


def variant_key(config: dict[str, Any]) -> str:
    """Hash what the seeds of one variant share: all that `hashed` gives but the seed."""
    return _digest({key: value for key, value in hashed(config).items() if key != "seed"})


def settings(config: dict[str, Any]) -> dict[str, Any]:
    """Return what `variant_key` hashes as dotted keys with plain values, as in `optimizer.rate`."""
    return {path: value for path, value in flat(hashed(config)) if path != "seed"}


def short(data: dict[str, str]) -> dict[str, str]:
    """Shorten digests of data as people are shown them."""
    return {name: digest[:DIGITS] for name, digest in data.items()}


def flat(node: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value that is no mapping, with its dotted key."""
    for key, value in node.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def names_seed(name: str, seed: int) -> bool:
    """Say whether the name of a run, as `run_id` makes it, holds that seed."""
    return f"-s{seed}-" in f"{name}-"


def _digest(content: dict[str, Any]) -> str:
    canonical = json.dumps({"version": VERSION, **content}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:DIGITS]
