"""Follow the Slurm jobs of runs until all have ended, and record the state of each run."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from softlookup.config.run_config import RunConfig
from softlookup.errors import UserError
from softlookup.runs.run_folder import RunFolder
from softlookup.runs.run_state import State
from softlookup.sweep.progress_table import Board, Ended

_TICK = 5.0  # seconds between two queries of Slurm, each for all jobs
_ENDED = {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "TIMEOUT"}
# Ended from outside: the run itself did not fail, and the same command continues it.
_STOPPED = {"BOOT_FAIL", "CANCELLED", "DEADLINE", "NODE_FAIL", "TIMEOUT", "GONE"}

Run = tuple[RunFolder, RunConfig]


def ask(job_ids: list[str]) -> dict[str, str] | None:
    """Query Slurm for the state of each job that it still knows, as in `{"12_0": "RUNNING"}`; None if Slurm does not
    answer."""
    arrays = sorted({job_id.partition("_")[0] for job_id in job_ids})
    command = ["squeue", "--noheader", "--array", "--states=all", "--format=%i %T", f"--jobs={','.join(arrays)}"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if answer.returncode and "Invalid job id" not in answer.stderr:
        return None
    states = dict(line.split(maxsplit=1) for line in answer.stdout.splitlines() if line.strip())
    return {job_id: states[job_id] for job_id in job_ids if job_id in states}


def waiting(job_ids: list[str]) -> set[str]:
    """Return the jobs that are queued or running. Raises UserError if Slurm does not answer."""
    states = ask(job_ids) if job_ids else {}
    if states is None:
        raise UserError("squeue does not answer, and jobs of this sweep may still be queued; try again later")
    return {job_id for job_id, state in states.items() if state not in _ENDED}


def cancel(job_ids: list[str]) -> None:
    """Cancel jobs: Slurm sends SIGTERM, and SIGKILL after the cluster's KillWait."""
    subprocess.run(["scancel", *job_ids], check=False)


def follow(jobs: dict[str, Run], board: Board) -> None:
    """Wait until all jobs have ended, and show the state of their runs on the board.

    A requeued job is waited for again. Runs that could not write their final state get it here.
    """
    left, began = dict(jobs), dict.fromkeys(jobs, time.monotonic())
    while left:
        states = ask(list(left))
        for job_id in [] if states is None else list(left):
            folder, config = left[job_id]
            state = (states or {}).get(job_id, "GONE")
            ended = state in _ENDED or state == "GONE"
            if (state == "RUNNING" or ended) and folder.id not in board.running:
                began[job_id] = time.monotonic()
                board.start(folder, config)
            if ended:
                board.end(Ended(folder, *conclude(folder, job_id, state), time.monotonic() - began[job_id]))
                del left[job_id]
            elif state != "RUNNING":
                board.running.pop(folder.id, None)
        board.refresh()
        if left:
            time.sleep(_TICK)


def end_of(job_id: str) -> str:
    """Wait until a job has ended; return its state in Slurm, or GONE if Slurm no longer knows it."""
    while True:
        states = ask([job_id])
        state = "PENDING" if states is None else states.get(job_id, "GONE")
        if state in _ENDED or state == "GONE":
            return state
        time.sleep(_TICK)


def conclude(folder: RunFolder, job_id: str, slurm: str) -> tuple[State, str | None]:
    """Return state and reason of a run whose job has ended with the state `slurm`; write them if the run did not.

    A run that is killed cannot write its state: in its folder it stays queued or running.
    """
    from softlookup.system import lock

    freshen(folder.path)
    state, reason = folder.state(), folder.reason()
    if state not in ("queued", "running", None):
        return state, reason
    if state == "running" and folder.finish():
        return "finished", None
    holder = lock.holder(folder.path)
    if holder:  # another job holds the run, and writes its state
        return "failed", f"{folder.path} is in use by {holder}"
    reason = f"its Slurm job {job_id} ended as {slurm}" + (" before the run began" if state == "queued" else "")
    concluded: State = "failed"
    if slurm == "OUT_OF_MEMORY":
        concluded = "out_of_memory"
    elif slurm in _STOPPED:
        concluded = "preempted"
    folder.set_state(concluded, reason)
    return concluded, reason


def freshen(folder: Path) -> None:
    """Make a network file system refresh its cache: files written by another machine may not be visible yet."""
    if folder.is_dir():
        folder.chmod(folder.stat().st_mode)
