"""Runs as jobs of a Slurm cluster: followed until all have ended, and what became of each."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from softlookup.config.run_config import RunConfig
from softlookup.errors import UserError
from softlookup.runs.run_folder import RunFolder, State
from softlookup.sweep.progress_table import Board, Ended

_TICK = 5.0  # seconds between two questions to Slurm: one question for all jobs, whatever their number
_ENDED = {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "TIMEOUT"}
# Ended from outside: nothing is wrong with the run itself, and the same command goes on with it.
_STOPPED = {"BOOT_FAIL", "CANCELLED", "DEADLINE", "NODE_FAIL", "TIMEOUT", "GONE"}

Run = tuple[RunFolder, RunConfig]


def ask(job_ids: list[str]) -> dict[str, str] | None:
    """Return the state of each job that Slurm still knows, as in `{"12_0": "RUNNING"}`; None where Slurm does not
    answer."""
    arrays = sorted({job_id.partition("_")[0] for job_id in job_ids})
    command = ["squeue", "--noheader", "--array", "--states=all", "--format=%i %T", f"--jobs={','.join(arrays)}"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if answer.returncode and "Invalid job id" not in answer.stderr:
        return None
    told = dict(line.split(maxsplit=1) for line in answer.stdout.splitlines() if line.strip())
    return {job_id: told[job_id] for job_id in job_ids if job_id in told}


def waiting(job_ids: list[str]) -> set[str]:
    """Those of the jobs that wait or run. Raises UserError where Slurm does not answer."""
    states = ask(job_ids) if job_ids else {}
    if states is None:
        raise UserError("squeue does not answer, and jobs of this sweep may still be queued; try again later")
    return {job_id for job_id, state in states.items() if state not in _ENDED}


def cancel(job_ids: list[str]) -> None:
    """End jobs as Slurm does it: SIGTERM, and SIGKILL after the cluster's KillWait."""
    subprocess.run(["scancel", *job_ids], check=False)


def follow(jobs: dict[str, Run], board: Board) -> None:
    """Wait until all jobs have ended, however each of them does, and show on the board what becomes of their runs.

    A job that goes back into the queue waits again. Runs that could not write their own end get their state here.
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
    """Wait until a job has ended; how, as Slurm says it, or GONE where Slurm has forgotten it."""
    while True:
        states = ask([job_id])
        state = "PENDING" if states is None else states.get(job_id, "GONE")
        if state in _ENDED or state == "GONE":
            return state
        time.sleep(_TICK)


def conclude(folder: RunFolder, job_id: str, slurm: str) -> tuple[State, str | None]:
    """State and reason of a run whose job has ended with the state `slurm`; what the run did not write is written.

    A run that is killed says nothing: it stays queued or running in its folder.
    """
    from softlookup.system import lock

    freshen(folder.path)
    state, reason = folder.state(), folder.reason()
    if state not in ("queued", "running", None):
        return state, reason
    if state == "running" and folder.finish():
        return "finished", None
    holder = lock.holder(folder.path)
    if holder:  # another job has it: its state is not for us to write
        return "failed", f"{folder.path} is in use by {holder}"
    told = f"its Slurm job {job_id} ended as {slurm}" + (" before the run began" if state == "queued" else "")
    concluded: State = "failed"
    if slurm == "OUT_OF_MEMORY":
        concluded = "out_of_memory"
    elif slurm in _STOPPED:
        concluded = "preempted"
    folder.set_state(concluded, told)
    return concluded, told


def freshen(folder: Path) -> None:
    """Have a network file system look again: what another machine wrote may not be seen here yet."""
    if folder.is_dir():
        folder.chmod(folder.stat().st_mode)
