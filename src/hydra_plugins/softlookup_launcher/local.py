"""What Hydra's -m does here: it composes every job, then hands all of them to `softlookup.sweep`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf


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
        """Raises UserError for a mistake in the config of any job, before the first one starts."""
        from softlookup.sweep import Sweep

        setup_globals()
        planned, configs = [], []
        outer = HydraConfig.instance().cfg
        try:
            for overrides in job_overrides:
                composed = self.loader.load_sweep_config(self.config, list(overrides))
                config = self._resolve(composed)
                configs.append(config)
                if composed.hydra.runtime.choices.get("experiment"):
                    planned.append(config)
        finally:
            HydraConfig.instance().cfg = outer
        _plan(planned)
        finished = Sweep(configs, configs[0]["workers"]).run()
        _draw({(config["runs_dir"], config["experiment_name"]) for config in configs})
        if not finished:
            raise SystemExit(1)
        return [_done(overrides) for overrides in job_overrides]

    def _resolve(self, composed: DictConfig) -> dict[str, Any]:
        """The plain, checked config of one job; `${hydra:…}` looks at the HydraConfig singleton."""
        from softlookup.config import resolve

        HydraConfig.instance().set_config(composed)
        return resolve(OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"]))


def _plan(configs: list[dict[str, Any]]) -> None:
    """Write the plan of each experiment. Sweeps without an experiment file write none: all that is run counts."""
    from softlookup.record import run_id, write_plan

    experiments: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for config in configs:
        experiments.setdefault((config["runs_dir"], config["experiment_name"]), {})[run_id(config)] = config
    for (_, name), cells in experiments.items():
        outside = write_plan(list(cells.values()))
        if outside:
            print(f"{name} is now these {len(cells)} runs; {outside} of an earlier sweep are kept, outside its means")


def _draw(experiments: set[tuple[str, str]]) -> None:
    """Print what each experiment came to, and write the dashboard of its folder of runs."""
    from softlookup import page, report, results

    for runs_dir, name in sorted(experiments):
        rows = results.read(Path(runs_dir))
        report.compare(rows[rows["experiment"] == name])
    for runs_dir in sorted({runs_dir for runs_dir, _ in experiments}):
        print(f"dashboard  {page.write(Path(runs_dir), Path(runs_dir) / 'dashboard.html')}")


def _done(overrides: Sequence[str]) -> JobReturn:
    done = JobReturn(overrides=overrides, status=JobStatus.COMPLETED)
    done.return_value = None
    return done
