"""Run a sweep: compose Hydra's jobs, plan them, execute them with a launcher, and report."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import JobReturn, JobStatus, setup_globals
from omegaconf import DictConfig

from hydra_plugins.softlookup_launcher._jobs import PlannedRun, compose
from softlookup.config.resolve import explain
from softlookup.config.run_config import RunConfig
from softlookup.errors import Stopped, UserError, shell_quote
from softlookup.timing.plan import Order

UNCONFIRMED = 1000  # largest number of runs in a sweep without confirm=true
_ENOUGH = 100  # number of finished runs that the estimate uses


def launch(
    loader: ConfigLoader,
    master: DictConfig,
    job_overrides: Sequence[Sequence[str]],
    workers: int,
    work: Callable[[list[RunConfig]], bool],
    clock: Callable[[Order], None],
    machine: dict[str, Any] | None,
) -> Sequence[JobReturn]:
    """Check all jobs, plan them, let `work` execute them and `clock` time a step of each variant, and report.

    `work` returns whether all runs are finished. `machine` is the one on which steps are timed, None if there are many.

    Raises UserError for a mistake in the config of any job before the first one starts, for a sweep so large that it
    must be confirmed (`workers` run at a time, for the estimate), and if another sweep holds the experiment. Ends with
    SystemExit(1) when a run is not finished.
    """
    setup_globals()
    _confirm(master, len(job_overrides), workers)
    if master.get("tune") is not None:
        from hydra_plugins.softlookup_launcher._tune import tune

        tune(loader, master, job_overrides, lambda jobs: _executed(jobs, work))
    jobs = _solved(compose(loader, master, job_overrides))
    configs = [job.config for job in jobs]
    _report_duplicates(configs)
    with _alone(configs):
        _plan(jobs)
        finished = work(configs)
        stopped = _time(configs, clock, machine)
        _report({(config.settings.runs_dir, config.settings.experiment_name) for config in configs})
    if stopped is not None:
        raise stopped
    if not finished:
        raise SystemExit(1)
    return [_done(overrides) for overrides in job_overrides]


def _executed(jobs: Sequence[PlannedRun], work: Callable[[list[RunConfig]], bool]) -> list[RunConfig]:
    """Plan and execute the jobs of a search; return their configs, whether their runs have finished or not."""
    solved = _solved(jobs)
    configs = [job.config for job in solved]
    with _alone(configs):
        _plan(solved)
        work(configs)
    return configs


def _solved(jobs: Sequence[PlannedRun]) -> list[PlannedRun]:
    """Return the jobs with the widths that `match` solves, and print those of each variant."""
    if all(job.config.reference is None for job in jobs):
        return list(jobs)
    from softlookup.runs.run_id import variant_name
    from softlookup.sweep.subprocess_call import called

    # In another process: models are built, and this one does not load torch.
    (configs,) = called("softlookup.matching.solve:solve_all", [job.config for job in jobs])
    for name, matched in {variant_name(config): config.matched for config in configs}.items():
        print(f"match  {name}: {'the reference' if matched is None else matched}")
    return [replace(job, config=config) for job, config in zip(jobs, configs, strict=True)]


def _confirm(master: DictConfig, count: int, workers: int) -> None:
    if count <= UNCONFIRMED or master.get("confirm") is True:
        return
    from softlookup.sweep.progress_table import duration

    seconds = list(_timed(Path(master.runs_dir) / master.experiment_name))
    if seconds:
        mean = sum(seconds) / len(seconds)
        estimate = (
            f"by the mean of {len(seconds)} finished ones, {duration(mean)}, about "
            f"{duration(mean * count / workers)} with {workers} at a time"
        )
    else:
        estimate = "none of them has been timed yet: a small sweep of them first would show how long they take"
    raise UserError(f"this sweep has {count:,} runs; {estimate}; if that is meant, add confirm=true")


def _timed(experiment: Path) -> Iterator[float]:
    """Yield the seconds of finished runs of the experiment, for a limited number of them."""
    for path in sorted(experiment.glob("*/result.json"))[:_ENOUGH]:
        try:
            yield float(json.loads(path.read_bytes())["cost"]["cost/seconds"])
        except (OSError, ValueError, KeyError, TypeError):
            continue


def _report_duplicates(configs: Sequence[RunConfig]) -> None:
    """Report combinations that are the same run, since they differ only in values that no part uses."""
    from softlookup.runs.run_id import run_id

    runs = len({run_id(config) for config in configs})
    if runs < len(configs):
        print(f"{len(configs)} combinations are {runs} runs: the others repeat one, or differ only in unused values")


@contextmanager
def _alone(configs: Sequence[RunConfig]) -> Iterator[None]:
    """Lock every experiment of the sweep against other sweeps."""
    from softlookup.system.lock import hold

    folders = {config.experiment.absolute() for config in configs}
    with ExitStack() as held:
        for folder in sorted(folders):
            held.enter_context(hold(folder))
        yield


def _plan(jobs: Sequence[PlannedRun]) -> None:
    """Write the plan of each experiment. Sweeps without an experiment file write none: then all runs count."""
    from softlookup.runs.experiment_plan import write_plan
    from softlookup.runs.run_id import run_id

    experiments: dict[Path, dict[str, RunConfig]] = {}
    for config in (job.config for job in jobs if job.planned):
        experiments.setdefault(config.experiment, {})[run_id(config)] = config
    for folder, cells in experiments.items():
        outside = write_plan(list(cells.values()))
        if outside:
            print(
                f"{folder.name} is now these {len(cells)} runs; {outside} of an earlier sweep are kept but excluded "
                "from its means"
            )


def _time(
    configs: Sequence[RunConfig], clock: Callable[[Order], None], machine: dict[str, Any] | None
) -> Stopped | None:
    """Time the steps that are due; return the signal that stopped the timing, if any, so that the results are still
    reported."""
    from softlookup.timing.plan import due

    experiments: dict[Path, list[RunConfig]] = {}
    for config in configs:
        experiments.setdefault(config.experiment.absolute(), []).append(config)
    for folder, members in sorted(experiments.items()):
        with _reporting_failure("timing"):
            order = due(folder, members, machine)
            try:
                if order is not None:
                    clock(order)
            except Stopped as stopped:
                print("only the timing was stopped, no run; the same command repeats it", file=sys.stderr)
                return stopped
    return None


def decisions(configs: Sequence[RunConfig]) -> Callable[[], str]:
    """Return a function that says which comparisons of a sweep are decided; of a sweep of several experiments, those
    of the last."""
    last = configs[-1].settings

    def line() -> str:
        from softlookup.analysis.progress import decided

        return decided(Path(last.runs_dir), last.experiment_name)

    return line


def _report(experiments: set[tuple[str, str]]) -> None:
    """Print the results of each experiment, and write the dashboard of its folder of runs.

    Files that cannot be read or written are reported in one line; they do not affect the outcome of the runs.
    """
    from softlookup.analysis import terminal_report
    from softlookup.dashboard import page

    for runs_dir, name in sorted(experiments):
        with _reporting_failure("report"):
            terminal_report.compare(_rows(Path(runs_dir), name), name)
    for runs_dir in sorted({runs_dir for runs_dir, _ in experiments}):
        with _reporting_failure("report"):
            print(f"dashboard  {shell_quote(page.write(Path(runs_dir), Path(runs_dir) / 'dashboard.html'))}")


def _rows(runs_dir: Path, experiment: str) -> Any:
    """Read all experiments, or only the given one where another cannot be read."""
    from softlookup.analysis import load

    try:
        return load.read(runs_dir)
    except UserError:
        return load.read(runs_dir, experiment)


@contextmanager
def _reporting_failure(what: str) -> Iterator[None]:
    """Report an error in one line instead of raising it."""
    try:
        yield
    except (UserError, OSError) as error:
        print(f"no {what}: {explain(error)}", file=sys.stderr)


def _done(overrides: Sequence[str]) -> JobReturn:
    done = JobReturn(overrides=overrides, status=JobStatus.COMPLETED)
    done.return_value = None
    return done
