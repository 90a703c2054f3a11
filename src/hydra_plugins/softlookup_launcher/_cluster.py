"""Submit runs to a Slurm cluster, each as a job of its own, and wait until all have ended."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import submitit
from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf
from omegaconf import OmegaConf
from submitit.core.utils import FailedJobError, FailedSubmissionError

from hydra_plugins.softlookup_launcher import _queue
from hydra_plugins.softlookup_launcher._queue import Run
from softlookup.config.run_config import RunConfig
from softlookup.errors import Stopped, UserError
from softlookup.runs.run_folder import RunFolder, object_at
from softlookup.sweep.progress_table import Board
from softlookup.sweep.worker import ONE_THREAD, talk_to
from softlookup.system import atomic_files
from softlookup.system.signals import Stop
from softlookup.timing.plan import Order, report

_JOBS = "jobs.json"  # beside the files of submitit: the run's folder for each job
_TIMING = "timing"  # subfolder with submitit's files of the timing job
_ARRAY = 1000  # jobs per array; Slurm's default limit is 1001


class ClusterJob(submitit.helpers.Checkpointable):
    """Execute one run as a Slurm job. A requeued job executes the same run, which continues from its checkpoint."""

    def __call__(self, config: RunConfig, path: str) -> None:
        """Execute the run. Raises what the run raises, after its state was written; exits with 128 + the signal that
        stopped it."""
        from softlookup.run import supervise

        folder = RunFolder(Path(path))
        talk_to(folder)
        try:
            supervise(config, folder)
        except Stopped as stopped:
            print(stopped)
            sys.exit(128 + stopped.number)


class Clock(submitit.helpers.Checkpointable):
    """Time a step of each variant as a Slurm job."""

    def __call__(self, order: Order) -> None:
        from softlookup.timing.stopwatch import record

        record(order, lambda share: print(f"{share:.0%}", flush=True))


class Cluster:
    """Execute the runs of a sweep as Slurm jobs. `parameters` are all those of hydra-submitit-launcher for Slurm,
    checked."""

    def __init__(self, parameters: dict[str, Any]) -> None:
        self.parameters = dict(parameters)
        self.folder = Path(self.parameters.pop("submitit_folder")).absolute()
        self.retries = self.parameters.pop("max_num_timeout")
        self.parallel: int = self.parameters["array_parallelism"]

    def run(self, configs: list[RunConfig]) -> bool:
        """Execute the runs and print their results; return whether all of them are finished.

        SIGINT (Ctrl-C) and SIGTERM cancel the jobs, and Stopped is raised when they have ended.
        """
        runs = {folder.path: (folder, config) for config in configs for folder in [RunFolder.of(config)]}
        left = {path: run for path, run in runs.items() if not run[0].done()}
        stopped: Stopped | None = None
        board = Board(len(runs), len(runs) - len(left), max(1, min(self.parallel, len(left))))
        with board, Stop().listening():
            waiting = self._waiting()
            jobs = {job_id: left[path] for job_id, path in waiting.items() if path in left}
            if jobs:
                print(f"{len(jobs)} runs were queued before; waiting for them", flush=True)
            try:
                self._submit(left, jobs, waiting)
                _queue.follow(jobs, board)
            except Stopped as error:
                stopped = error
                ended_ids = {ended.folder.id for ended in board.ended}
                remaining = {job_id: run for job_id, run in jobs.items() if run[0].id not in ended_ids}
                _queue.cancel(list(remaining))
                _queue.follow(remaining, board)
        board.summary()
        if stopped is not None:
            raise stopped
        finished = sum(ended.state == "finished" for ended in board.ended) == len(left)
        if finished and waiting.keys() <= jobs.keys():  # the logs of the runs contain everything
            shutil.rmtree(self.folder, ignore_errors=True)
        return finished

    def time(self, order: Order) -> None:
        """Time the steps in a Slurm job, and wait for it.

        Raises UserError if the job fails, and Stopped after a signal, which cancels the job.
        """
        began, before = time.monotonic(), object_at(order.path)
        os.environ.update(ONE_THREAD)
        try:
            job = self._executor(1, self.folder / _TIMING).submit(Clock(), order)
        except (FailedJobError, FailedSubmissionError, subprocess.CalledProcessError) as error:
            raise UserError(f"Slurm rejected the job: {' '.join(str(error).split())}") from error
        print(f"timing {order}: Slurm job {job.job_id}", flush=True)
        with Stop().listening():
            try:
                state = _queue.end_of(job.job_id)
            except Stopped:
                _queue.cancel([job.job_id])
                raise
        _queue.freshen(order.path.parent)
        if object_at(order.path) in ({}, before):
            raise UserError(f"its Slurm job {job.job_id} ended as {state}; its log: {job.paths.stderr}")
        report(order, time.monotonic() - began)
        shutil.rmtree(self.folder / _TIMING, ignore_errors=True)
        with suppress(OSError):  # files of failed runs stay
            self.folder.rmdir()

    def _waiting(self) -> dict[str, Path]:
        """Return the jobs of earlier launchers that are still queued or running, with the folder of the run of each."""
        try:
            known = json.loads((self.folder / _JOBS).read_bytes())
        except (OSError, ValueError):
            return {}
        return {job_id: Path(known[job_id]) for job_id in _queue.waiting(list(known))}

    def _submit(self, left: dict[Path, Run], jobs: dict[str, Run], waiting: dict[str, Path]) -> None:
        """Submit the remaining runs that are in no job yet, and add them to `jobs`. Raises UserError if Slurm rejects a
        job."""
        queued = {folder.path for folder, _ in jobs.values()}
        runs = [run for path, run in left.items() if path not in queued]
        if not runs:
            return
        arrays = [runs[start : start + _ARRAY] for start in range(0, len(runs), _ARRAY)]
        executor = self._executor(len(arrays), self.folder)
        os.environ.update(ONE_THREAD)  # Slurm passes the environment to the jobs
        for array in arrays:
            for folder, config in array:
                folder.write_config(config)
                folder.set_state("queued")
            configs, paths = [config for _, config in array], [str(folder.path) for folder, _ in array]
            try:
                submitted = executor.map_array(ClusterJob(), configs, paths)
            except (FailedJobError, FailedSubmissionError, subprocess.CalledProcessError) as error:
                raise UserError(f"Slurm rejected the job: {' '.join(str(error).split())}") from error
            jobs |= {job.job_id: run for job, run in zip(submitted, array, strict=True)}
            run_folders = waiting | {job_id: folder.path for job_id, (folder, _) in jobs.items()}
            atomic_files.write(self.folder / _JOBS, json.dumps(run_folders, default=str).encode())

    def _executor(self, arrays: int, folder: Path) -> submitit.AutoExecutor:
        """Make the Slurm executor with its files in `folder`; the jobs that may run at a time are divided between the
        arrays."""
        try:
            executor = submitit.AutoExecutor(folder, cluster="slurm", slurm_max_num_timeout=self.retries)
        except RuntimeError as error:  # no srun
            raise UserError(f"{error} hydra/launcher=local runs the sweep on this machine") from error
        parameters = self.parameters | {"array_parallelism": max(1, self.parallel // arrays)}
        common = set(OmegaConf.structured(BaseQueueConf))
        executor.update_parameters(**{k if k in common else f"slurm_{k}": v for k, v in parameters.items()})
        return executor
