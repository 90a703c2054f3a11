"""Show the progress and the summary of a sweep. No torch."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from softlookup.config.run_config import RunConfig
from softlookup.errors import shell_quote
from softlookup.runs.run_folder import RunFolder
from softlookup.runs.run_state import State

_LONGEST_REASON = 300


@dataclass(frozen=True)
class Ended:
    """A run of this sweep that has ended after `seconds`."""

    folder: RunFolder
    state: State
    reason: str | None
    seconds: float


@dataclass(frozen=True)
class _Running:
    folder: RunFolder
    budget: int
    started: float

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def share(self, record: dict[str, Any]) -> float:
        """Return the share of the token budget in the last log record of the run."""
        return float(record.get("tokens", 0)) / self.budget


class Board:
    """Show a live table on a terminal; without a terminal print a line for each run that ends."""

    def __init__(self, total: int, before: int, workers: int, console: Console | None = None) -> None:
        self.total, self.before, self.workers = total, before, workers
        self.running: dict[str, _Running] = {}
        self.ended: list[Ended] = []
        self.decided = ""
        self.console = console or Console(highlight=False)
        self._live = Live(console=self.console, auto_refresh=False, transient=True)

    def __enter__(self) -> Board:
        if self.console.is_terminal:
            self._live.start()
            self.refresh()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def start(self, folder: RunFolder, config: RunConfig) -> None:
        self.running[folder.id] = _Running(folder, config.settings.budget, time.monotonic())

    def end(self, ended: Ended) -> None:
        del self.running[ended.folder.id]
        self.ended.append(ended)
        if ended.state != "finished" or not self.console.is_terminal:
            done = self.before + len(self.ended)
            line = f"[{done}/{self.total}] {ended.state:8} {ended.folder.id} ({duration(ended.seconds)})"
            self._print(f"{line}{_reason(ended)}; {self.counts()}")

    def set_decided(self, line: str) -> None:
        """Show which comparisons are decided; without a terminal, print the line when it has changed."""
        if line and line != self.decided and not self.console.is_terminal:
            self._print(line)
        self.decided = line

    def refresh(self) -> None:
        if self._live.is_started:
            lines = [Text(line) for line in (self.counts(), self.decided) if line]
            self._live.update(Group(*lines, self._table()), refresh=True)

    def counts(self) -> str:
        """Return the number of runs by state, and the estimated time left."""
        states = Counter(ended.state for ended in self.ended)
        finished = states.pop("finished", 0) + self.before
        parts = [f"{finished} done", f"{len(self.running)} running", f"{states.pop('failed', 0)} failed"]
        parts += [f"{count} {state}" for state, count in sorted(states.items())]
        left = self.total - self.before - len(self.ended) - len(self.running)
        seconds = self.seconds_left()
        return ", ".join([*parts, f"{left} left", *([] if seconds is None else [f"about {duration(seconds)} to go"])])

    def seconds_left(self) -> float | None:
        """Estimate the time left from the mean time of finished runs, or of running ones by the consumed share of their
        budget; None if there are neither."""
        times = [ended.seconds for ended in self.ended if ended.state == "finished"]
        if not times:
            shares = [
                (running.seconds, running.share(running.folder.last_record())) for running in self.running.values()
            ]
            times = [seconds / share for seconds, share in shares if share > 0]
        if not times:
            return None
        mean = sum(times) / len(times)
        queued = self.total - self.before - len(self.ended) - len(self.running)
        work = queued * mean + sum(max(0.0, mean - running.seconds) for running in self.running.values())
        return work / self.workers or None

    def summary(self) -> None:
        """Print the summary of a sweep: counts, and each unfinished run with its reason and its log."""
        states: Counter[str] = Counter({"finished": self.before, "failed": 0, "diverged": 0})
        states.update(ended.state for ended in self.ended)
        missing = self.total - self.before - len(self.ended)
        table = Table("planned", *states, "missing", title="sweep", title_justify="left")
        table.add_row(str(self.total), *map(str, states.values()), str(missing))
        self.console.print(table)
        if self.before:
            self._print(f"{self.before} finished before and were not run again")
        for ended in self.ended:
            if ended.state != "finished":
                self._print(f"{ended.state}  {ended.folder.id}{_reason(ended)}")
                self._print(f"  log  {shell_quote(_shown(ended.folder.log_path))}")

    def _table(self) -> Table:
        table = Table("running", "time", "budget", "loss", "validation", box=None, pad_edge=False)
        for running in self.running.values():
            record = running.folder.last_record()
            accuracy = record.get("validation/token_accuracy")
            figures = [
                duration(running.seconds),
                f"{running.share(record):.0%}",
                _figure(record.get("train/loss"), ".3f"),
                _figure(accuracy, ".1%"),
            ]
            table.add_row(running.folder.id, *figures)
        return table

    def _print(self, line: str) -> None:
        self.console.print(Text(line), soft_wrap=True)


def duration(seconds: float) -> str:
    """Format seconds for display.

    >>> duration(7.24), duration(100), duration(5000)
    ('7.2 s', '1 min 40 s', '1 h 23 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def _figure(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _shown(path: Path) -> Path:
    """Return the path relative to the current folder if it is inside it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _reason(ended: Ended) -> str:
    return f": {ended.reason[:_LONGEST_REASON]}" if ended.reason else ""
