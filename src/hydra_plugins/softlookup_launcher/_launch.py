"""A sweep from Hydra's list of jobs to the report at its end, whatever does the runs in between."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
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

UNASKED = 1000  # runs that a sweep may have without being asked whether it is meant
_ENOUGH = 100  # finished runs that are timed for an estimate


def launch(
    loader: ConfigLoader,
    master: DictConfig,
    job_overrides: Sequence[Sequence[str]],
    workers: int,
    work: Callable[[list[RunConfig]], bool],
    clock: Callable[[Order], None],
    machine: dict[str, Any] | None,
) -> Sequence[JobReturn]:
    """Check all jobs, plan them, let `work` do them and `clock` time a step of each variant, and report.

    `work` says whether all runs are finished. `machine` is the one that steps are timed on, None where there are many.

    Raises UserError for a mistake in the config of any job before the first one starts, for a sweep so large that it
    must be confirmed (`workers` run at a time, for the estimate), and where another sweep has the experiment.
    Ends with SystemExit(1) when a run is not finished.
    """
    setup_globals()
    _confirm(master, len(job_overrides), workers)
    jobs = compose(loader, master, job_overrides)
    configs = [job.config for job in jobs]
    _tell_equals(configs)
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


def _confirm(master: DictConfig, count: int, workers: int) -> None:
    if count <= UNASKED or master.get("confirm") is True:
        return
    from softlookup.sweep.progress_table import duration

    seconds = list(_timed(Path(master.runs_dir) / master.experiment_name))
    if seconds:
        mean = sum(seconds) / len(seconds)
        told = (
            f"by the mean of {len(seconds)} finished ones, {duration(mean)}, about "
            f"{duration(mean * count / workers)} with {workers} at a time"
        )
    else:
        told = "none of them has been timed yet: a small sweep of them first would tell how long they take"
    raise UserError(f"this sweep has {count:,} runs; {told}; if that is meant, add confirm=true")


def _timed(experiment: Path) -> Iterator[float]:
    """Seconds that finished runs of the experiment took, of some of them at most."""
    for path in sorted(experiment.glob("*/result.json"))[:_ENOUGH]:
        try:
            yield float(json.loads(path.read_bytes())["cost"]["cost/seconds"])
        except (OSError, ValueError, KeyError, TypeError):
            continue


def _tell_equals(configs: Sequence[RunConfig]) -> None:
    """Say where several combinations are one run, since what they differ in is used by none of its parts."""
    from softlookup.runs.run_id import run_id

    runs = len({run_id(config) for config in configs})
    if runs < len(configs):
        print(f"{len(configs)} combinations are {runs} runs: the others repeat one of them, or differ in nothing used")


@contextmanager
def _alone(configs: Sequence[RunConfig]) -> Iterator[None]:
    """Hold every experiment of the sweep: another sweep of it has to wait."""
    from softlookup.system.lock import hold

    folders = {config.experiment.absolute() for config in configs}
    with ExitStack() as held:
        for folder in sorted(folders):
            held.enter_context(hold(folder))
        yield


def _plan(jobs: Sequence[PlannedRun]) -> None:
    """Write the plan of each experiment. Sweeps without an experiment file write none: all that is run counts."""
    from softlookup.runs.experiment_plan import write_plan
    from softlookup.runs.run_id import run_id

    experiments: dict[Path, dict[str, RunConfig]] = {}
    for config in (job.config for job in jobs if job.planned):
        experiments.setdefault(config.experiment, {})[run_id(config)] = config
    for folder, cells in experiments.items():
        outside = write_plan(list(cells.values()))
        if outside:
            print(
                f"{folder.name} is now these {len(cells)} runs; {outside} of an earlier sweep are kept, outside "
                "its means"
            )


def _time(
    configs: Sequence[RunConfig], clock: Callable[[Order], None], machine: dict[str, Any] | None
) -> Stopped | None:
    """Have timed what is to be timed; the signal that ended it, if one did: what the runs came to is still told."""
    from softlookup.timing.plan import due

    experiments: dict[Path, list[RunConfig]] = {}
    for config in configs:
        experiments.setdefault(config.experiment.absolute(), []).append(config)
    for folder, own in sorted(experiments.items()):
        with _told("timing"):
            order = due(folder, own, machine)
            try:
                if order is not None:
                    clock(order)
            except Stopped as stopped:
                print("the timing was stopped, and no run; the same command makes it again", file=sys.stderr)
                return stopped
    return None


def _report(experiments: set[tuple[str, str]]) -> None:
    """Print what each experiment came to, and write the dashboard of its folder of runs.

    What cannot be read or written is told in one line: it changes nothing about how the runs ended.
    """
    from softlookup.analysis import load, terminal_report
    from softlookup.dashboard import page

    for runs_dir, name in sorted(experiments):
        with _told("report"):
            terminal_report.compare(load.read(Path(runs_dir), name))
    for runs_dir in sorted({runs_dir for runs_dir, _ in experiments}):
        with _told("report"):
            print(f"dashboard  {shell_quote(page.write(Path(runs_dir), Path(runs_dir) / 'dashboard.html'))}")


@contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except (UserError, OSError) as error:
        print(f"no {what}: {explain(error)}", file=sys.stderr)


def _done(overrides: Sequence[str]) -> JobReturn:
    done = JobReturn(overrides=overrides, status=JobStatus.COMPLETED)
    done.return_value = None
    return done
