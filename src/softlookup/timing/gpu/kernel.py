"""Compare the lean attention kernel with the plain form."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from softlookup.timing.gpu.sections import Job


def measure(job: Job) -> Iterator[dict[str, Any]]:  # noqa: ARG001
    """Yield that there is no such kernel yet."""
    yield {"note": "skipped: not built"}
