"""The run folder: what a run leaves behind, and the state that it is in. No torch.

    RUNS_DIR/EXPERIMENT/plan.json                 what the experiment's last sweep asked for
    RUNS_DIR/EXPERIMENT/ID/config.yaml            the resolved config
                          /state.json             state, reason, time
                          /metrics.jsonl          one line per validation, appended: the truth about training
                          /result.json            one row, there only when everything was measured
                          /alignments.npz         a few lookups to draw; absent for a fixed context
                          /log.txt                stdout and stderr of a run of a sweep

Whole files are written aside and renamed: a file that has its name is complete.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import re
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import yaml

from softlookup.errors import UserError

State = Literal["queued", "running", "finished", "failed", "diverged", "out_of_memory", "preempted"]

# What says where and how a run is kept, watched or computed, and not which run it is. `choices` are the names of
# parts that are hashed by their content. `task.path` is not here: another folder may hold other sentences.
UNHASHED = frozenset(
    {"runs_dir", "experiment_name", "experiment", "tracking", "workers", "threads", "processes", "device"}
    | {"memory", "checkpoint_seconds", "debug", "confirm", "choices", "tuned"}
)
_DIGITS = 6


def run_id(config: dict[str, Any]) -> str:
    """`attention-encoder-task-sSEED-HASH`, as in `additive-gru-reverse-s3-1f9c2a`.

    HASH begins the SHA-256 of the config as JSON with sorted keys, without the keys of `UNHASHED`.
    """
    kept = {key: value for key, value in config.items() if key not in UNHASHED}
    canonical = json.dumps(kept, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(canonical.encode()).hexdigest()[:_DIGITS]
    words = [str(config["choices"][group]) for group in ("attention", "encoder", "task")]
    stem = "-".join(re.sub(r"[^\w.]+", "_", word) for word in words)
    return f"{stem}-s{config['seed']}-{digest}"


def state_of(error: BaseException) -> tuple[State, str]:
    """The state in which an exception leaves a run, and the reason in one line."""
    message = " ".join(str(error).split())
    told = f"{type(error).__name__}: {message}" if message else type(error).__name__
    if isinstance(error, KeyboardInterrupt):
        return "preempted", "stopped by Ctrl-C"
    if isinstance(error, FloatingPointError):
        return "diverged", message
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch has one of its own
        return "out_of_memory", told
    return "failed", message if isinstance(error, UserError) else told


class RunFolder:
    """The files of one run. `id` is the name of the folder, which is made when something is first written."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.id = path.name
        self.log_path = self.path / "log.txt"
        self.metrics_path = self.path / "metrics.jsonl"

    @classmethod
    def of(cls, config: dict[str, Any]) -> RunFolder:
        """The folder that belongs to a resolved config."""
        return cls(Path(config["runs_dir"]) / config["experiment_name"] / run_id(config))

    def reset(self) -> None:
        """Begin anew: whatever an earlier attempt left is deleted."""
        if self.path.exists():
            shutil.rmtree(self.path)
        self.path.mkdir(parents=True)

    def discard(self) -> None:
        """Delete the folder, of a run that never began."""
        shutil.rmtree(self.path, ignore_errors=True)

    def state(self) -> State | None:
        """The state last written; None where there is none that can be read."""
        found = _read(self.path / "state.json").get("state")
        return found if found in get_args(State) else None

    def reason(self) -> str | None:
        """Why the run is in its state, where that needs a reason."""
        return _read(self.path / "state.json").get("reason")

    def set_state(self, state: State, reason: str | None = None) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        _write(self.path / "state.json", _json({"state": state, "reason": reason, "time": now}))

    def write_config(self, config: dict[str, Any]) -> None:
        _write(self.path / "config.yaml", yaml.safe_dump(config, sort_keys=False, allow_unicode=True).encode())

    def log(self, record: dict[str, Any]) -> None:
        """Append one flat record to metrics.jsonl, on disk when this returns.

        JSON has no NaN and no infinity: they become null, and the reason of the state says what diverged.
        """
        plain = {key: None if _broken(value) else value for key, value in record.items()}
        self.path.mkdir(parents=True, exist_ok=True)
        with self.metrics_path.open("ab") as file:
            file.write(json.dumps(plain, ensure_ascii=False, allow_nan=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def last_record(self) -> dict[str, Any]:
        """The last whole record of metrics.jsonl; empty where there is none."""
        try:
            lines = self.metrics_path.read_bytes().split(b"\n")
        except OSError:
            return {}
        return json.loads(lines[-2]) if len(lines) > 1 else {}

    def write_result(self, row: dict[str, Any]) -> None:
        """Write the result row. What is absent is None; NaN or infinity raises FloatingPointError with its place."""
        broken = _first_broken(row, "")
        if broken:
            raise FloatingPointError(f"{broken} is not a finite number in the result")
        _write(self.path / "result.json", _json(row))

    def result(self) -> dict[str, Any] | None:
        """The row of a finished run: its state says so, and its result can be read and is its own. Else None."""
        return self._row() if self.state() == "finished" else None

    def finish(self) -> bool:
        """Set the state to finished where there is a result row of this run, and say whether there is."""
        complete = self._row() is not None
        if complete:
            self.set_state("finished")
        return complete

    def write_alignments(self, arrays: dict[str, np.ndarray]) -> None:
        """Write alignments.npz, which loads without pickle; no arrays, no file."""
        if arrays:
            buffer = io.BytesIO()
            np.savez_compressed(buffer, allow_pickle=False, **arrays)
            _write(self.path / "alignments.npz", buffer.getvalue())

    def _row(self) -> dict[str, Any] | None:
        row = _read(self.path / "result.json")
        return row if row.get("id") == self.id else None


def write_plan(configs: Sequence[dict[str, Any]]) -> int:
    """Write plan.json for the configs of one experiment; how many runs of the plan before are no longer in it.

    The plan is what was last asked for under that name. It replaces the one before, since the two may differ in
    anything (budget, lengths), and means over both would compare unequals. Runs that left the plan keep their
    folders and stay visible; a sweep that asks for them again finds them finished.
    """
    folder = RunFolder.of(configs[0]).path.parent
    planned = [{"id": run_id(config), "choices": config["choices"], "seed": config["seed"]} for config in configs]
    before = {cell["id"] for cell in _read(folder / "plan.json").get("planned", [])}
    _write(folder / "plan.json", _json({"experiment": configs[0]["experiment_name"], "planned": planned}))
    return len(before - {cell["id"] for cell in planned})


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with aside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, path)


def _broken(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _first_broken(value: Any, place: str) -> str | None:
    """Where in nested dicts and lists the first number stands that is not finite."""
    if _broken(value):
        return place
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    inside = (_first_broken(item, f"{place}.{key}" if place else str(key)) for key, item in items)
    return next((found for found in inside if found), None)
