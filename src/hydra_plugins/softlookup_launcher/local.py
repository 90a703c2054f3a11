"""Launch Hydra's jobs as one sweep: compose all of them, then hand them to `softlookup.sweep.scheduler`."""

from __future__ import annotations

from collections.abc import Sequence

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class LocalSweeper(BasicSweeper):
    """Hydra's own sweeper, which composes every job once to check it and once to run it; once is enough here."""

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """The launcher composes and checks all jobs before it starts one."""


class LocalLauncher(Launcher):
    """Each job in its own process on this machine; finished runs are not run again.

    Ends with exit code 1 when a run did not finish, and with KeyboardInterrupt after Ctrl-C.
    """

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:  # noqa: ARG002
        self.loader = hydra_context.config_loader
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:  # noqa: ARG002
        """Raise UserError for a mistake in the config of any job, before the first one starts."""
        from hydra_plugins.softlookup_launcher._launch import launch
        from softlookup.runs import provenance
        from softlookup.sweep.scheduler import Sweep, cores
        from softlookup.timing import plan

        workers = self.config.workers or cores(self.config.threads)
        return launch(
            self.loader,
            self.config,
            job_overrides,
            workers,
            lambda configs: Sweep(configs, configs[0].settings.workers).run(),
            plan.here,
            provenance.machine(),
        )
