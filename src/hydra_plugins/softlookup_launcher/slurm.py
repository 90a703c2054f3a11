"""Launch a sweep on a Slurm cluster: every run is a job, and its folder lies on a file system shared by all nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

try:
    from hydra_plugins.hydra_submitit_launcher.submitit_launcher import SlurmLauncher as Submitit
except ImportError:  # Hydra imports this file at every start, on a cluster or not

    class Submitit(Launcher):  # type: ignore[no-redef]
        def __init__(self, **params: Any) -> None:  # noqa: ARG002
            from softlookup.errors import UserError

            raise UserError("hydra/launcher=submitit_slurm needs two more packages: pip install 'softlookup[slurm]'")


class SlurmLauncher(Submitit):
    """Execute each run in a Slurm job of its own; finished runs are not repeated, and queued ones not queued again.

    Its parameters, and the requeueing of jobs, are those of hydra-submitit-launcher. Unlike there, a job that dies does
    not end the waiting for the others, and the report at the end is that of a local sweep.
    """

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:  # noqa: ARG002
        self.loader = hydra_context.config_loader
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:  # noqa: ARG002
        """Execute the jobs. Raises UserError for a mistake in the config of any job or of the cluster, before the first
        one starts."""
        from hydra_plugins.softlookup_launcher._cluster import Cluster
        from hydra_plugins.softlookup_launcher._launch import launch

        cluster = Cluster(self.params)
        return launch(self.loader, self.config, job_overrides, cluster.parallel, cluster.run, cluster.time, None)
