"""Save, verify and load checkpoints; the last two are kept.

RUN/checkpoints/step-N.pt     tensors and plain values, loaded with weights_only=True
RUN/checkpoints.json          the files that must exist, oldest first, each with step, bytes and SHA-256
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import torch

from softlookup.errors import UserError, shell_quote
from softlookup.system import atomic_files

KEPT = 2


class Checkpoints:
    """Manage the checkpoints of one run. `messages` lists the checkpoints that `load` skipped, with reasons."""

    def __init__(self, folder: Path) -> None:
        self.run = folder
        self.folder = folder / "checkpoints"
        self.manifest = folder / "checkpoints.json"
        self.messages: list[str] = []

    def open(self) -> None:
        """Create the manifest: from then on, a folder without a manifest has lost it."""
        if not self.manifest.exists():
            atomic_files.write(self.manifest, b"[]\n")

    def save(self, content: dict[str, Any], step: int) -> None:
        """Write a checkpoint; it is on disk when this returns, and a kill at any moment leaves the previous one intact.

        `content` holds only tensors, numbers, text, lists and dicts. The file is written first, then the manifest that
        lists it, then the oldest file is deleted. Raises OSError with the path.
        """
        if not self.run.is_dir():
            raise FileNotFoundError(errno.ENOENT, "the run's folder was deleted while it ran", str(self.run))
        data = serialized(content)
        name = f"step-{step}.pt"
        atomic_files.write(self.folder / name, data)
        row = {"file": name, "step": step, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        kept = [*(other for other in self._rows() if other["file"] != name), row][-KEPT:]
        atomic_files.write(self.manifest, json.dumps(kept, indent=1).encode() + b"\n")
        for path in self.folder.glob("step-*.pt"):
            if path.name not in {kept_row["file"] for kept_row in kept}:
                path.unlink(missing_ok=True)

    def load(self) -> dict[str, Any] | None:
        """Return the newest valid checkpoint; None if none was ever written.

        A corrupt or truncated one is listed in `messages`, and the previous one used. Raises UserError if a listed file
        is missing, if none is valid, and for a file that holds more than tensors and plain values.
        """
        rows = self._rows()
        for row in rows:
            if not (self.folder / row["file"]).exists():
                raise self._lost(f"{self.folder / row['file']} is missing, but {self.manifest.name} lists it")
        for row in reversed(rows):
            path = self.folder / row["file"]
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() == row["sha256"]:
                return plain(path, data)
            wrong = f"{len(data)} of {row['bytes']} bytes" if len(data) != row["bytes"] else "wrong SHA-256"
            self.messages.append(f"{path} is corrupt ({wrong}): not used")
        if rows:
            raise self._lost(f"no checkpoint is valid: {'; '.join(self.messages)}")
        return None

    def _rows(self) -> list[dict[str, Any]]:
        if not self.manifest.exists():
            return []
        try:
            rows = json.loads(self.manifest.read_bytes())
            if not isinstance(rows, list):
                raise TypeError
            shaped = [
                {"file": Path(row["file"]).name, "step": int(row["step"]), "bytes": int(row["bytes"]),
                 "sha256": str(row["sha256"])} for row in rows
            ]  # fmt: skip
        except (ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
            raise self._lost(f"{self.manifest} cannot be read") from error
        return shaped

    def _lost(self, what: str) -> UserError:
        return UserError(f"{what}; restore it, or to start anew: rm -r {shell_quote(self.run)}")


def serialized(content: dict[str, Any]) -> bytes:
    """Return the bytes that torch.save writes."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def plain(path: Path, data: bytes) -> dict[str, Any]:
    """Load the bytes of a file that holds only tensors and plain values. Raises UserError for any other content."""
    try:
        content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # maliciously constructed bytes can raise anything
        reason = str(error).split("\n", maxsplit=1)[0]
        raise UserError(f"{path} holds more than tensors and plain values, and is not loaded: {reason}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} holds a {type(content).__name__}, expected a checkpoint")
    return content
