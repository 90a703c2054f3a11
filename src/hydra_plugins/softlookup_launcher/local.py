"""Launch Hydra's jobs as one sweep on this machine, with `softlookup.sweep.scheduler`."""

from __future__ import annotations

from collections.abc import Sequence

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class LocalSweeper(BasicSweeper):
    """Hydra's basic sweeper without its extra composition of every job for validation."""

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Do nothing: the launcher composes and checks all jobs before it starts one."""


class LocalLauncher(Launcher):
    """Execute each job in a process of its own on this machine; finished runs are not repeated.

    Ends with exit code 1 when a run did not finish, and with KeyboardInterrupt after Ctrl-C.
    """

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:  # noqa: ARG002
        self.loader = hydra_context.config_loader
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:  # noqa: ARG002
        """Execute the jobs. Raises UserError for a mistake in the config of any job, before the first one starts."""
        from hydra_plugins.softlookup_launcher._launch import decisions, launch
        from softlookup.config.build import gpus
        from softlookup.runs import provenance
        from softlookup.sweep.devices import Devices
        from softlookup.sweep.scheduler import Sweep
        from softlookup.timing import plan

        names, config = gpus(self.config.device), self.config
        room = Devices(names, config.workers_per_gpu, config.processes, config.threads).room
        return launch(
            self.loader,
            self.config,
            job_overrides,
            config.workers or room,
            lambda configs: Sweep(configs, configs[0].settings.workers, decided=decisions(configs), gpus=names).run(),
            plan.here,
            provenance.machine(),
        )
