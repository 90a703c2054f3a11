"""Run each section of the GPU report in a process of its own, within a time limit. No torch."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from softlookup.runs.run_folder import json_of
from softlookup.system import atomic_files

_GRACE = 5.0  # seconds between SIGTERM and SIGKILL


@dataclass(frozen=True)
class Job:
    """Hold the device that a section measures, and the seconds that it may take."""

    device: str
    seconds: float

    @property
    def small(self) -> bool:
        """Return whether sizes are small: on a CPU, the sections are only rehearsed."""
        return self.device == "cpu"


# A section yields what it has found so far: what a time limit cuts off, it keeps.
Measure = Callable[[Job], Iterator[dict[str, Any]]]


@dataclass(frozen=True)
class Section:
    """Describe a section: its name, the function that measures it as `package.module:function`, and its share of the
    time, in seconds of the whole 8 minutes."""

    name: str
    measure: str
    share: float


def shares(sections: Sequence[Section], left: float) -> float:
    """Return the seconds of the first of these sections: its share of the time that is left for all of them."""
    return left * sections[0].share / sum(section.share for section in sections)


def run_all(
    sections: Sequence[Section], command: Callable[[Section, float, Path], list[str]], minutes: float, folder: Path
) -> dict[str, dict[str, Any]]:
    """Run the sections in order and return what each found, by name: `state`, `seconds`, `limit` and `found`.

    `command` makes the command line of a section from its time limit and the file that it writes. A section that ends
    early leaves its time to the later ones.
    """
    end = time.monotonic() + 60 * minutes
    results: dict[str, dict[str, Any]] = {}
    for place, section in enumerate(sections):
        limit = shares(sections[place:], max(0.0, end - time.monotonic()))
        file = folder / f"{section.name}.json"
        print(f"{section.name}: at most {limit:.0f} s", flush=True)
        results[section.name] = run(command(section, limit, file), file, limit)
        print(f"{section.name}: {results[section.name]['state']}, {results[section.name]['seconds']:.0f} s", flush=True)
    return results


def run(command: list[str], file: Path, limit: float) -> dict[str, Any]:
    """Run one section within `limit` seconds; whatever ends it, what it wrote to `file` until then is returned."""
    log = file.with_suffix(".log")
    began = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
        try:
            code: int | None = process.wait(limit)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            _end(process)
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    result = {"state": _state(code, limit, lines), "seconds": time.monotonic() - began, "limit": limit}
    result["found"] = json.loads(file.read_bytes()) if file.exists() else {}
    if code != 0:
        result["log"] = lines[-40:]
    return result


def _state(code: int | None, limit: float, lines: Sequence[str]) -> str:
    if code is None:
        return f"stopped after {limit:.0f} s"
    if code == 0:
        return "finished"
    last = next((line.strip() for line in reversed(lines) if line.strip()), "no message")
    return f"failed (exit code {code}): {last[:200]}"


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a section with all processes of its group."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
            if number == signal.SIGTERM:
                time.sleep(0.2)  # for its children


def write(measure: Measure, job: Job, file: Path) -> None:
    """Measure a section and write what it finds, again after every part."""
    for found in measure(job):
        atomic_files.write(file, json_of(found))


def python() -> list[str]:
    """Return the start of a command line that runs a program with this Python."""
    return [sys.executable]


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with some variables changed."""
    return {**os.environ, **extra}
