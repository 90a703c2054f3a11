"""Decide when the steps and the decoding of an experiment are timed, and for which variants. No torch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.text import Text

from softlookup.config.run_config import RunConfig
from softlookup.config.settings import Settings
from softlookup.errors import UserError
from softlookup.runs import provenance
from softlookup.runs.run_folder import RunFolder, object_at
from softlookup.runs.run_id import VERSION, run_id, variant_key
from softlookup.sweep.progress_table import duration
from softlookup.sweep.subprocess_call import called
from softlookup.system import atomic_files
from softlookup.system.signals import Stop

NAME = "timing.json"
JOB = "softlookup.timing.stopwatch:record"


@dataclass(frozen=True)
class Order:
    """Describe steps to be timed: a config of each variant by its variant_key, the file to write, and under `origin`
    the code and the place of the measurement."""

    path: Path
    configs: dict[str, RunConfig]
    origin: dict[str, Any]

    def __str__(self) -> str:
        return f"a training step and the decoding of {len(self.configs)} variants, in turn and alone"


def due(experiment: Path, configs: Sequence[RunConfig], machine: dict[str, Any] | None) -> Order | None:
    """Return what to time in the folder of an experiment after a sweep of `configs`; None if nothing is to be timed.

    Every variant with a finished run is timed: those of the plan, or of the whole folder if there is no plan. Timings
    stay valid as long as no variant is new and neither the code nor the machine has changed. With `machine` None, as on
    a cluster, the machine is not compared.
    """
    swept = {variant_key(config): config for config in configs}
    execution = {"threads": configs[0].settings.threads, "device": configs[0].settings.device}
    wanted = {
        key: replace(config, settings=Settings.of(config.settings.plain() | execution))
        for key, config in _finished(experiment, swept).items()
    }
    origin = {"version": VERSION, **provenance.code(), "torch": version("torch"), **execution}
    if machine is not None:
        origin["machine"] = machine
    path = experiment / NAME
    found = object_at(path)
    timed = [found.get(name) for name in ("steps", "decoding")]
    held = all(isinstance(one, dict) and wanted.keys() <= one.keys() for one in timed)
    if not wanted or (held and all(found.get(name) == value for name, value in origin.items())):
        return None
    return Order(path, wanted, origin)


def _finished(experiment: Path, swept: dict[str, RunConfig]) -> dict[str, RunConfig]:
    """Return a config for each variant that has a finished run of this version, by variant_key."""
    cells = object_at(experiment / "plan.json").get("planned")
    planned = {str(cell.get("id")) for cell in cells if isinstance(cell, dict)} if isinstance(cells, list) else None
    found: dict[str, RunConfig] = {}
    for path in sorted(path.parent for path in experiment.glob("*/result.json")):
        row = RunFolder(path).result() if planned is None or path.name in planned else None
        key = str(row.get("variant_key")) if row and row.get("version") == VERSION else None
        config = None if key is None or key in found else swept.get(key) or _config(path)
        if key is not None and config is not None:
            found[key] = config
    return found


def _config(path: Path) -> RunConfig | None:
    """Return the config of a run, if it is the one that the run is named by."""
    try:
        config = RunConfig.of(yaml.safe_load(atomic_files.content(path / "config.yaml")))
        return config if run_id(config) == path.name else None
    except (UserError, OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError, RecursionError):
        return None


def here(order: Order) -> None:
    """Time on this machine, in a separate process, and show the progress.

    Raises UserError if that process fails, and Stopped after a signal; an existing file then stays unchanged.
    """
    console = Console(highlight=False)
    began = time.monotonic()
    status = console.status(f"timing {order}")
    with Stop().listening(), closing(called(JOB, order)) as shares:
        if console.is_terminal:
            status.start()
        try:
            for share in shares:
                status.update(f"timing {order}: {share:.0%}")
        finally:
            status.stop()
    report(order, time.monotonic() - began)


def report(order: Order, seconds: float) -> None:
    """Print which variants were timed, and which were not."""
    console = Console(highlight=False)
    found = object_at(order.path)
    lines = [f"timed {order}: {found.get('rounds')} rounds ({duration(seconds)})"]
    lines += [f"not timed  {reason}" for reason in found.get("left_out", {}).values()]
    for line in lines:
        console.print(Text(line), soft_wrap=True)


def now() -> str:
    """Return the current time in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
