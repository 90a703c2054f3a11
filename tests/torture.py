"""Run a sweep under random kill -9, restarted until it is done, and compare it with the same sweep undisturbed.

python tests/torture.py [kills=50] [runs=12] [seed=1] [budget=40000] [keep=DIR]

Jobs, the launcher, or everything at once are killed at random moments, sometimes while a checkpoint is being written;
half of the attempts have their temporary folder on another file system. Then the exported tables of both sweeps are
compared byte for byte (measured times are in a separate table), and the weights as well. Exits with 1 if they differ.
"""

from __future__ import annotations

import filecmp
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
WORKERS = 2
PATIENCE = 3.0  # seconds to wait for a checkpoint being written


def command(runs_dir: Path, runs: int, budget: int) -> list[str]:
    """Return the command of the sweep; its runs include dropout, an adaptive curriculum and a fixed context."""
    seeds = ",".join(str(seed) for seed in range(1, runs // 4 + 1))
    return [
        sys.executable, str(ROOT / "src" / "train.py"), "-m", f"runs_dir={runs_dir}", "experiment_name=torture",
        "attention=additive,fixed_final", "curriculum=fixed,adaptive", f"seed={seeds}", f"budget={budget}",
        "validations=6", "batch_tokens=256", "task.longest=7",
        "encoder.dropout=0.2", "decoder.dropout=0.2", "checkpoint_seconds=0.4", f"workers={WORKERS}", "device=cpu",
    ]  # fmt: skip


class Sweep:
    """Start, watch, kill and restart the sweep of a folder."""

    def __init__(self, runs_dir: Path, runs: int, budget: int) -> None:
        self.folder = runs_dir / "torture"
        self.command = command(runs_dir, runs, budget)
        self.process: subprocess.Popen | None = None
        self.starts = 0
        self.idle = 0.0  # seconds without a running job, while the launcher starts or ends
        self.attempts: dict[int, list[float]] = {}  # by process id of a job: first and last time seen
        self._ended = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def start(self) -> None:
        self.starts += 1
        elsewhere = {"TMPDIR": "/dev/shm"} if self.starts % 2 and Path("/dev/shm").is_dir() else {}
        with (self.folder.parent / "torture.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, "OMP_NUM_THREADS": "1", **elsewhere},
            )  # fmt: skip

    def end(self) -> None:
        """Stop watching."""
        self._ended.set()

    def jobs(self) -> dict[int, Path]:
        """Map the processes that hold a run's lock to the folder of the run."""
        found = {}
        for file in self.folder.glob("*/.lock"):
            try:
                pid = json.loads(file.read_text())["pid"]
                if str(self.folder) in os.readlink(f"/proc/{pid}/fd/1"):
                    found[pid] = file.parent
            except (OSError, ValueError, KeyError):
                continue
        return found

    def kill(self, role: str, chance: random.Random) -> str | None:
        """Kill a job, the launcher or everybody; return what was killed, or None if nothing was running."""
        saving = chance.random() < 0.4
        victim = None
        deadline = time.monotonic() + PATIENCE
        while saving and victim is None and time.monotonic() < deadline:
            asides = list(self.folder.glob("*/checkpoints/.step-*"))
            victim = next((pid for pid, path in self.jobs().items() for a in asides if a.parent.parent == path), None)
        jobs = self.jobs()
        assert self.process is not None
        if self.process.poll() is not None or not jobs:
            return None
        targets = {
            "job": [victim or chance.choice(list(jobs))],
            "launcher": [self.process.pid],
            "everybody": [self.process.pid, *descendants(self.process.pid)],
        }[role]
        for pid in targets:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        return f"{role} while saving" if victim else role

    def _watch(self) -> None:
        latest = time.monotonic()
        while not self._ended.wait(0.05):
            jobs, previous, latest = self.jobs(), latest, time.monotonic()
            if not jobs:
                self.idle += latest - previous
            for pid in jobs:
                self.attempts.setdefault(pid, [previous, latest])[1] = latest


def descendants(pid: int) -> list[int]:
    """Return all descendants of a process, deepest last; each run has its own session, so no process group has all."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    pending, found = [pid], []
    while pending:
        children = parents.get(pending.pop(), [])
        found += children
        pending += children
    return found


def torment(sweep: Sweep, kills: int, chance: random.Random) -> Counter[str]:
    """Kill and restart until `kills` were made and the sweep has ended with exit code 0."""
    done: Counter[str] = Counter()
    sweep.start()
    assert sweep.process is not None
    while True:
        if sweep.process.poll() is not None:
            if sweep.process.returncode == 0:
                return done
            sweep.start()
        elif done.total() < kills and sweep.jobs():
            time.sleep(chance.uniform(0.0, 1.6))
            role = chance.choices(("job", "launcher", "everybody"), (0.7, 0.15, 0.15))[0]
            what = sweep.kill(role, chance)
            if what:
                done[what] += 1
                print(f"  {done.total():3} of {kills} kills, {sweep.starts} starts: {what}", flush=True)
            if what and not what.startswith("job"):
                sweep.process.wait()
        else:
            time.sleep(0.05)


def export(runs_dir: Path) -> Path:
    """Export the tables of a folder of runs; return their folder."""
    tables = runs_dir / "tables"
    subprocess.run(
        [sys.executable, str(ROOT / "src" / "export.py"), f"runs_dir={runs_dir}", f"output={tables}"],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return tables


def differences(one: Path, other: Path) -> list[str]:
    """Return the names of tables (measured times excluded) and of weights that differ between two folders of runs."""
    ours, theirs = export(one), export(other)
    names = {path.name for path in ours.iterdir()} | {path.name for path in theirs.iterdir()}
    names.discard("times.csv")
    assert len(names) > 2, f"nothing to compare in {ours}"
    found = [name for name in sorted(names) if not _same(ours / name, theirs / name)]
    runs = sorted(path.parent.name for path in (one / "torture").glob("*/result.json"))
    for run in runs:
        weights = [side / "torture" / run / "checkpoints" / "final.pt" for side in (one, other)]
        if len({hashlib.sha256(path.read_bytes()).hexdigest() for path in weights if path.exists()}) != 1:
            found.append(f"{run}: weights")
    return found


def _same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and filecmp.cmp(one, other, shallow=False)


def main(arguments: list[str]) -> int:
    options = dict(argument.split("=", 1) for argument in arguments)
    kills, runs, budget = int(options.get("kills", 50)), int(options.get("runs", 12)), int(options.get("budget", 40000))
    chance = random.Random(int(options.get("seed", 1)))
    root = Path(options["keep"]) if "keep" in options else Path(tempfile.mkdtemp(prefix="torture-"))
    calm, hurt = root / "undisturbed", root / "tormented"
    for folder in (calm, hurt):
        folder.mkdir(parents=True, exist_ok=True)
    print(f"{runs} runs, left alone", flush=True)
    undisturbed = Sweep(calm, runs, budget)
    began = time.monotonic()
    undisturbed.start()
    assert undisturbed.process is not None
    code = undisturbed.process.wait()
    undisturbed.end()
    if code != 0:
        print((calm / "torture.log").read_text())
        return 1
    alone = time.monotonic() - began
    print(f"  {alone:.0f} s\nthe same runs, under kill -9", flush=True)
    sweep = Sweep(hurt, runs, budget)
    began = time.monotonic()
    done = torment(sweep, kills, chance)
    wall = time.monotonic() - began
    sweep.end()
    counted = sum(json.loads(file.read_text())["cost"]["cost/seconds"] for file in hurt.glob("torture/*/result.json"))
    destroyed = max(0.0, sum(last - first for first, last in sweep.attempts.values()) - counted)
    bound = 1.5 * alone + destroyed / WORKERS + sweep.idle - undisturbed.idle
    found = differences(calm, hurt)
    print(
        f"kills        {done.total()} ({', '.join(f'{count} {what}' for what, count in sorted(done.items()))})\n"
        f"starts       {sweep.starts}; in {sweep.idle:.0f} s no job ran (undisturbed: {undisturbed.idle:.0f} s)\n"
        f"differences  {len(found)} {found or ''}\n"
        f"wall time    {wall:.0f} s; undisturbed {alone:.0f} s; destroyed {destroyed:.0f} s of {WORKERS} workers\n"
        f"bound        {bound:.0f} s = 1.5 × undisturbed + destroyed / {WORKERS} + what restarts took: "
        f"{'held' if wall <= bound else 'BROKEN'}"
    )
    if "keep" not in options:
        shutil.rmtree(root)
    return 1 if found or done.total() < kills else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
