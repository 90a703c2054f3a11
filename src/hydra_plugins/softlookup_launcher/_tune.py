"""Search the learning rate of each variant of an experiment before its sweep, as runs of an experiment of their own."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import count, islice

from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig

from hydra_plugins.softlookup_launcher._jobs import PlannedRun, compose
from softlookup.config.catalog import CONF, default, groups
from softlookup.config.resolve import makes_a_variant
from softlookup.config.run_config import RunConfig
from softlookup.config.settings import Identity, names
from softlookup.errors import UserError, quote, shell_quote
from softlookup.runs.run_folder import RunFolder
from softlookup.tuning.grid import EXTENSIONS, Grid, Tried, at_edges, grown
from softlookup.tuning.table import Search, write

_FIRST_SEED = 101  # of the search; seeds of the experiment are left out
_RATE = "optimizer.rate"
_SUFFIX = "_tuning"  # of the experiment that holds the runs of the search
Execute = Callable[[list[PlannedRun]], list[RunConfig]]


def tune(loader: ConfigLoader, master: DictConfig, job_overrides: Sequence[Sequence[str]], execute: Execute) -> None:
    """Search the rate of each variant of a sweep, and write the table and the picture in experiments/tuned/.

    `execute` runs what is not finished and returns the configs with solved widths. Each variant gets the same number of
    tries; the lowest mean validation loss over the seeds of the search wins. While the best rate of any variant is at
    an edge, the grid of all grows by a step, at most `EXTENSIONS` times.

    Raises UserError for an experiment whose rate does not come from a table by variant, and for an optimum that is
    still at an edge; SystemExit(1) if a run fails. A run that diverges is a try with an infinite loss.
    """
    name = master.hydra.runtime.choices.get("experiment")
    if not name:
        raise UserError(f"tune={master.tune}: it writes the table of an experiment; name one: experiment=bottleneck")
    _refuse_changes(master, str(name))
    variants = {tuple(_without(each, "seed")): None for each in job_overrides}
    jobs = compose(loader, master, [list(each) for each in variants])
    _require_table(jobs, str(name), str(master.tune))
    seeds = _seeds(job_overrides, int(master.seed), int(master.tune_seeds))
    tried = [Tried(str(job.rate_entry), _default_rate(job.config)) for job in jobs]
    first = grid = Grid.around(int(str(master.tune).partition(":")[2]))
    extensions, commits = 0, {""}
    while True:
        commits = _try(loader, master, list(variants), tried, grid, seeds, execute)
        edges = at_edges(grid, tried)
        if not edges:
            break
        shown = ", ".join(f"{one.entry} {one.rate:g}" for one in tried if one.entry in edges)
        if extensions == EXTENSIONS:
            more = len(grid.exponents) + EXTENSIONS
            raise UserError(
                f"tune={master.tune}: extended {EXTENSIONS} times, and best rates are still at the edge ({shown}): "
                f"better ones may lie beyond, and no table was written; type it with tune=rate:{more}, which keeps "
                "all runs, or leave these variants out"
            )
        grid, extensions = grown(grid, edges), extensions + 1
        print(f"best rates at the edge of the grid: {shown}; every variant now tries {len(grid.exponents)}")
    path = CONF.resolve() / "experiment" / "tuned" / f"{name}.yaml"
    write(path, Search(_command(master, str(name)), sorted(commits), seeds, first, grid), tried)
    print(f"rates      {shell_quote(path.resolve())}, and a picture of the search beside it")


def _refuse_changes(master: DictConfig, name: str) -> None:
    """Raise UserError for a key of the command line that changes the variants: later sweeps of the experiment, without
    that key, would read its table."""
    for word in master.hydra.overrides.task:
        key = word.lstrip("+").partition("=")[0]
        chooses = key in groups() and key not in ("experiment", "tracking")
        if chooses or key.startswith("match") or makes_a_variant(key):
            raise UserError(
                f"tune={master.tune}: {quote(word)} changes the variants, and the table belongs to all sweeps of "
                f"experiments/{name}.yaml; write it into that file, or into one with - {name} among its defaults"
            )


def _without(overrides: Sequence[str], *keys: str) -> list[str]:
    return [one for one in overrides if one.lstrip("+").partition("=")[0] not in keys]


def _require_table(jobs: Sequence[PlannedRun], name: str, given: str) -> None:
    """Raise UserError unless each variant reads its rate from an entry of the table of its own."""
    entries = [job.rate_entry for job in jobs]
    if None in entries:
        raise UserError(
            f"tune={given}: experiments/{name}.yaml does not take {_RATE} from a table; write into it: optimizer: "
            f"{{rate: '${{tuned.${{choices.task}}.${{choices.attention}}}}'}}, and the table among its defaults: "
            f"- optional tuned: {name}"
        )
    twice = next((entry for entry in entries if entries.count(entry) > 1), None)
    if twice is not None:
        raise UserError(
            f"tune={given}: several variants read tuned.{twice}, which can hold the rate of one; sweep fewer options, "
            f"or name more of them in {_RATE} of experiments/{name}.yaml"
        )


def _seeds(job_overrides: Sequence[Sequence[str]], otherwise: int, wanted: int) -> list[int]:
    """Return the first seeds from 101 that no run of the experiment has."""
    used = {int(one.partition("=")[2]) for each in job_overrides for one in each if one.startswith("seed=")}
    return list(islice((seed for seed in count(_FIRST_SEED) if seed not in (used or {otherwise})), wanted))


def _default_rate(config: RunConfig) -> float:
    return float(default("optimizer", str(config.choices["optimizer"]), "rate"))


def _try(
    loader: ConfigLoader, master: DictConfig, variants: Sequence[Sequence[str]], tried: Sequence[Tried], grid: Grid,
    seeds: Sequence[int], execute: Execute,
) -> set[str]:  # fmt: skip
    """Execute all tries of a grid, and enter their losses; return the commits of the runs."""
    tries = [
        (one, k, [*_without(variant, "experiment_name"), f"{_RATE}={rate}", f"seed={seed}",
                  f"experiment_name={master.experiment_name}{_SUFFIX}"])
        for variant, one in zip(variants, tried, strict=True)
        for k, rate in zip(grid.exponents, grid.rates(one.default), strict=True)
        for seed in seeds
    ]  # fmt: skip
    configs = execute(compose(loader, master, [overrides for _, _, overrides in tries]))
    commits = set()
    for one in tried:
        one.losses.clear()
    for (one, k, _), config in zip(tries, configs, strict=True):
        folder = RunFolder.of(config)
        row = folder.result()
        if row is None and folder.state() != "diverged":
            mend = "mend what its log.txt names, then " if folder.state() == "failed" else ""
            print(f"tune: {folder.id} did not finish, so that no rate was chosen; {mend}the same command continues")
            raise SystemExit(1)
        loss = row["metrics"].get("validation/loss") if row else None
        one.losses.setdefault(k, []).append(math.inf if loss is None or not math.isfinite(loss) else loss)
        if row:
            one.fixed = row["kind"] == "fixed"
            commits.add(_commit(row["provenance"]))
    return commits


def _commit(code: dict[str, object]) -> str:
    commit = str(code.get("commit") or "unknown")[:12]
    return f"{commit} with changes" if code.get("dirty") else commit


def _command(master: DictConfig, name: str) -> str:
    """Return the command of this sweep, without what only says where and how it runs."""
    local = {*names(Identity.NONE), "tracking"} - {"tune", "tune_seeds"}
    words = _without(list(master.hydra.overrides.task), "experiment", *local)
    return f'make sweep EXPERIMENT={name} ARGS="{" ".join(words)}"'
