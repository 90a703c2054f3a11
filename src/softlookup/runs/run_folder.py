"""Manage the run folder: its files and the state of its run. No torch.

    RUNS_DIR/EXPERIMENT/plan.json                 the runs of the experiment's last sweep
    RUNS_DIR/EXPERIMENT/ID/config.yaml            the resolved config
                          /state.json             state, reason, time
                          /metrics.jsonl          one line per validation, appended during training
                          /result.json            one row, written when everything is measured
                          /alignments.npz         weights of a few examples; absent for a fixed context
                          /vocabularies.json      both vocabularies, which using the run needs besides its weights
                          /log.txt                stdout and stderr, of a run of a sweep
                          /run.html               the page of the run, drawn by the dashboard from the other files
                          /checkpoints/           checkpoints of a run in progress; at its end final.pt, and state.pt
                                                  with keep_state=true
                          /checkpoints.json       the checkpoints that must exist, with their SHA-256
                          /.lock                  held by the process that runs it

Files are written under a temporary name and renamed: a file with its final name is complete.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import numpy as np
import yaml

from softlookup.config.run_config import RunConfig
from softlookup.errors import UserError, shell_quote
from softlookup.runs.run_id import run_id
from softlookup.runs.run_state import State
from softlookup.system import atomic_files, lock


class RunFolder:
    """Read and write the files of one run. `id` is the name of the folder, which is created at the first write."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.id = path.name
        self.log_path = self.path / "log.txt"
        self.metrics_path = self.path / "metrics.jsonl"
        self.checkpoints = self.path / "checkpoints"
        self.manifest_path = self.path / "checkpoints.json"
        self._logged: int | None = None

    @classmethod
    def of(cls, config: RunConfig) -> RunFolder:
        """Return the folder that belongs to a resolved config."""
        return cls(config.experiment / run_id(config))

    def begin(self, config: RunConfig) -> None:
        """Prepare the folder for an attempt and write its config. Checkpoints and metrics of a stopped attempt are
        kept, everything else is deleted. The caller must hold the folder's lock.

        Raises UserError for checkpoints without the manifest that verifies them.
        """
        kept = {lock.NAME, "log.txt"}
        if self.manifest_path.exists():
            kept |= {self.manifest_path.name, self.checkpoints.name, self.metrics_path.name, "wandb"}
        elif any(self.checkpoints.glob("*.pt")):
            raise UserError(
                f"{self.checkpoints} holds checkpoints of an earlier attempt; {self.manifest_path.name} or "
                f"result.json, which verify them, are gone or broken; restore them, or to start anew: "
                f"rm -r {shell_quote(self.path)}"
            )
        self._delete_temporary()
        for path in self.path.iterdir() if self.path.exists() else ():
            if path.name not in kept:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        self.write_config(config)

    def _delete_temporary(self) -> None:
        """Delete the temporary files of saves that were killed."""
        for aside in self.checkpoints.glob(".*"):
            aside.unlink(missing_ok=True)

    def discard(self) -> None:
        """Delete the folder of a run that never started."""
        shutil.rmtree(self.path, ignore_errors=True)

    def state(self) -> State | None:
        """Return the state last written; None if there is none that can be read."""
        found = object_at(self.path / "state.json").get("state")
        return found if found in get_args(State) else None

    def status(self) -> tuple[State | None, str | None]:
        """Return the current state and reason: a run in state running whose process has ended is preempted."""
        state, reason = self.state(), self.reason()
        if state == "running" and not lock.holder(self.path) and not lock.holder(self.path.parent):
            return "preempted", "its process ended unexpectedly; the same command continues it"
        return state, reason

    def reason(self) -> str | None:
        """Return why the run is in its state, for states that have a reason."""
        return object_at(self.path / "state.json").get("reason")

    def set_state(self, state: State, reason: str | None = None) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        atomic_files.write(self.path / "state.json", json_of({"state": state, "reason": reason, "time": now}))

    def write_config(self, config: RunConfig) -> None:
        text = yaml.safe_dump(config.plain(), sort_keys=False, allow_unicode=True)
        atomic_files.write(self.path / "config.yaml", text.encode())

    def log(self, record: dict[str, Any]) -> None:
        """Append one flat record to metrics.jsonl, on disk when this returns.

        JSON has no NaN and no infinity: they become null, and the reason of the state says what diverged. Raises
        OSError or RuntimeError if the file is gone, or was changed since the last append.
        """
        plain = {key: None if _broken(value) else value for key, value in record.items()}
        if self._logged is None:
            self.path.mkdir(parents=True, exist_ok=True)
            self.metrics_path.touch()
            self._logged = self.metrics_path.stat().st_size
        line = json.dumps(plain, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        self._logged = atomic_files.append(self.metrics_path, line, self._logged)

    def records(self) -> list[dict[str, Any]]:
        """Return the complete records of metrics.jsonl, up to the first line that is torn by a kill or is no record."""
        found = []
        for line in self.metrics_path.read_bytes().split(b"\n")[:-1] if self.metrics_path.exists() else ():
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                break
            if not isinstance(record, dict):
                break
            found.append(record)
        return found

    def rewind(self, count: int, digest: str | None = None) -> list[dict[str, Any]]:
        """Truncate metrics.jsonl to its first `count` records and return them: records after a checkpoint are written
        again.

        Raises UserError if there are fewer, and if their SHA-256 is not `digest`.
        """
        kept = self.records()[:count]
        if len(kept) < count:
            raise UserError(
                f"{self.metrics_path} has {len(kept)} whole records, and the checkpoint was made after {count}: "
                f"measurements are lost; to start anew: rm -r {shell_quote(self.path)}"
            )
        lines = self.metrics_path.read_bytes().split(b"\n")[:count] if count else []
        content = b"".join(line + b"\n" for line in lines)
        if digest is not None and hashlib.sha256(content).hexdigest() != digest:
            raise UserError(
                f"{self.metrics_path} was changed after the checkpoint was made; restore it, or to start anew: "
                f"rm -r {shell_quote(self.path)}"
            )
        atomic_files.write(self.metrics_path, content)
        self._logged = len(content)
        return kept

    def last_record(self) -> dict[str, Any]:
        """Return the last complete record of metrics.jsonl; empty if there is none."""
        try:
            return (self.records() or [{}])[-1]
        except OSError:
            return {}

    def write_result(self, row: dict[str, Any]) -> None:
        """Write the result row. Absent values are None; NaN or infinity raises FloatingPointError with its place."""
        broken = _first_broken(row, "")
        if broken:
            raise FloatingPointError(f"{broken} is not a finite number in the result")
        atomic_files.write(self.path / "result.json", json_of(row))

    def result(self) -> dict[str, Any] | None:
        """Return the row of a run that is in state finished and has a readable result of its own, else None."""
        return self._row() if self.state() == "finished" else None

    def done(self) -> bool:
        """Return whether the run is finished; sets that state for a run that was killed after it wrote its result."""
        return self.result() is not None or self.finish()

    def finish(self) -> bool:
        """Set the state to finished if there is a result row of this run; return whether there is one.

        The result is written last and atomically, so no checkpoint is needed any more.
        """
        complete = self._row() is not None
        if complete:
            self.set_state("finished")
            self.manifest_path.unlink(missing_ok=True)
            for checkpoint in self.checkpoints.glob("step-*.pt"):
                checkpoint.unlink(missing_ok=True)
            self._delete_temporary()
        return complete

    def write_alignments(self, arrays: dict[str, np.ndarray]) -> None:
        """Write alignments.npz, which loads without pickle; without arrays no file is written."""
        if arrays:
            buffer = io.BytesIO()
            np.savez_compressed(buffer, allow_pickle=False, **arrays)
            atomic_files.write(self.path / "alignments.npz", buffer.getvalue())

    def _row(self) -> dict[str, Any] | None:
        row = object_at(self.path / "result.json")
        return row if row.get("id") == self.id else None


def json_of(content: dict[str, Any]) -> bytes:
    """Return the bytes of a JSON file in the project's format."""
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def object_at(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; empty if the file is missing, broken, or holds no object."""
    try:
        content = json.loads(atomic_files.content(path))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _broken(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _first_broken(value: Any, place: str) -> str | None:
    """Return the place of the first number in nested dicts and lists that is not finite."""
    if _broken(value):
        return place
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    inside = (_first_broken(item, f"{place}.{key}" if place else str(key)) for key, item in items)
    return next((found for found in inside if found), None)
