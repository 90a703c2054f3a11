"""Run a system in a process of its own, which answers each request line with one line."""

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from softlookup.errors import UserError

HERE = Path(__file__).parent


class System:
    """A system in a separate process. Raises UserError when it cannot start."""

    def __init__(self, name: str, cells: str, python: Path, work: dict[str, Any]) -> None:
        threads = str(work["threads"])
        self.name = name
        # A file, not a pipe: a full pipe that is not read would block the system.
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            [python, HERE / cells],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "PYTHONWARNINGS": "ignore"},
        )
        started = self._request(work)
        self.cells: list[str] = started["cells"]
        self.parameters: dict[str, int] = started["parameters"]
        self.version: str = started["version"]
        self.floors: bool = started["floors"]

    def run(self, cell: str) -> dict[str, float]:
        """Run a cell on all its batches; return seconds of `wall` and `processor` time, and the number of tokens."""
        return self._request({"cell": cell, "floor": False})

    def floor(self, cell: str) -> dict[str, float]:
        """Return the seconds of `wall` and `processor` time that the matrix products of a cell take alone, and their
        number of floating-point operations (`flops`)."""
        return self._request({"cell": cell, "floor": True})

    def _request(self, message: Any) -> dict[str, Any]:
        """Send one message and return the answer. Raises UserError when the process has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self._process.wait()
            self._errors.seek(0)
            last = (self._errors.read().strip().splitlines() or ["no message"])[-1]
            self.close()
            raise UserError(f"{self.name} ended: {last}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the process by closing its input."""
        self._process.communicate()
        self._errors.close()
