"""Identify a run by the content of its config and of its data. No torch."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from softlookup.config.run_config import RunConfig

# Version of the meaning of a run's figures. Raise it with every change that affects them: runs of another version have
# other names, are shown as older code, and are never compared with new ones.
VERSION = 6
DIGITS = 12  # 48 bits: among 10,000 runs, two share a name once in six million sweeps


def run_id(config: RunConfig) -> str:
    """Name a run `attention-encoder-task-sSEED-HASH`, as in `additive-gru-reverse-s3-1f9c2a0b57de`.

    HASH begins the SHA-256 of `config.identity()` and VERSION as JSON with sorted keys.
    """
    return f"{_stem(config)}-s{config.settings.seed}-{_digest(config.identity())}"


def variant_name(config: RunConfig) -> str:
    """Name a variant, shared by all its seeds, as in `additive-gru-reverse-5d1c0b7e2f9a`."""
    return f"{_stem(config)}-{variant_key(config)}"


def _stem(config: RunConfig) -> str:
    words = [str(config.choices[group]) for group in ("attention", "encoder", "task")]
    return "-".join(re.sub(r"[^\w.]+", "_", word) for word in words)


def variant_key(config: RunConfig) -> str:
    """Hash the identity of a variant: all of `config.identity()` except the seed."""
    return _digest({key: value for key, value in config.identity().items() if key != "seed"})


def settings(config: RunConfig) -> dict[str, Any]:
    """Return the values that `variant_key` hashes, by dotted key, as in `optimizer.rate`."""
    return {path: value for path, value in flat(config.identity()) if path != "seed"}


def short(data: dict[str, str]) -> dict[str, str]:
    """Shorten digests of data for display."""
    return {name: digest[:DIGITS] for name, digest in data.items()}


def flat(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value that is not a mapping, with its dotted key."""
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def names_seed(name: str, seed: int) -> bool:
    """Return whether the name of a run, as made by `run_id`, contains that seed."""
    return f"-s{seed}-" in f"{name}-"


def _digest(content: dict[str, Any]) -> str:
    canonical = json.dumps({"version": VERSION, **content}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:DIGITS]
