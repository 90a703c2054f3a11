"""Compare decoding speed in sentences per second with JoeyNMT and OpenNMT-py, interleaved on the same machine.

make bench-peers [ARGS="rounds=9 batches=2 threads=2 systems=softlookup,JoeyNMT"]
make bench-peers ARGS="threads=1 clock=processor"    processor time instead of wall time, for a shared machine

Four cells: greedy search and a beam of five, each with a recurrent model and a transformer of equal sizes with random
weights, 64 sentences at a time. Every hypothesis is forced to 13 steps (EOS is forbidden), so that speed does not
depend on training. Sources are random words; their lengths are those of Multi30k's German test set if MULTI30K_DIR is
set, otherwise drawn from a normal distribution with its mean and deviation. All systems decode the same batches, in
separate processes, one at a time: in every round each system runs each cell once, in an order that rotates from round
to round.

rounds=7            number of rounds
batches=2           batches of 64 sentences per round
threads=2           threads of each system
clock=wall          wall or processor: which time is measured
systems=NAME,NAME   systems to time; default: softlookup,JoeyNMT,OpenNMT-py
peers=.peers        folder in which the peers are installed
"""

import gzip
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from softlookup.config.command_line import whole
from softlookup.errors import UserError, key_values
from softlookup.system import entry_point

ROOT = Path(__file__).parents[1]
CELLS = ("rnn greedy", "rnn (luong) greedy", "rnn beam", "rnn (luong) beam", "transformer greedy", "transformer beam")
SIZES = {
    "sources": 8000, "targets": 6000, "steps": 13, "beam": 5,
    "rnn": {"embedding": 256, "encoder": 256, "decoder": 512},
    "transformer": {"model": 128, "feed_forward": 256, "heads": 4, "blocks": 4},
}  # fmt: skip
BATCH = 64
# Lengths of Multi30k's test_2016_flickr.de in words, punctuation marks and EOS: mean, deviation, bounds.
MEAN, DEVIATION, SHORTEST, LONGEST = 13.2, 4.1, 6, 36
DIFFERS = (
    "Differences: JoeyNMT and OpenNMT-py attend after the recurrent step and feed the attentional state into the next "
    "step; our rnn attends before the step (decoder=bahdanau, readout as wide as the state), so the context enters the "
    "step instead. rnn (luong) attends after the step and feeds the attentional state too, but with LSTM cells, a "
    "third more parameters than their GRU. Our transformer has one more projection per layer, JoeyNMT's recomputes "
    "every prefix (it has no cache), and OpenNMT-py's beam starts with five copies of each sentence, ours with one. "
    "Penalties are off; no system keeps attention weights, except JoeyNMT's greedy rnn, which always does."
)
SYSTEMS = {"softlookup": "our_cells.py", "JoeyNMT": "joeynmt_cells.py", "OpenNMT-py": "opennmt_cells.py"}


class System:
    """A system in a separate process, which answers each request line with one line. Raises UserError when it cannot
    start."""

    def __init__(self, name: str, python: Path, work: dict[str, Any]) -> None:
        if not python.exists():
            raise UserError(f"{python}: {name} is not installed; make bench-peers installs it")
        threads = str(work["threads"])
        self.name = name
        # A file, not a pipe: a full pipe that is not read would block the system.
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            [python, ROOT / "src" / "peers" / SYSTEMS[name]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "PYTHONWARNINGS": "ignore"},
        )
        self.started = self.request(work)

    def request(self, message: Any) -> dict[str, Any]:
        """Send one message and return the answer. Raises UserError when the process has ended."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self.process.wait()
            self.errors.seek(0)
            last = (self.errors.read().strip().splitlines() or ["no message"])[-1]
            self.close()
            raise UserError(f"{self.name} ended: {last}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the process by closing its input."""
        self.process.communicate()
        self.errors.close()


def lengths(count: int, generator: np.random.Generator) -> tuple[list[int], str]:
    """Return source lengths, including EOS, and a description of their origin."""
    folder = os.environ.get("MULTI30K_DIR")
    if folder:
        with gzip.open(Path(folder) / "test_2016_flickr.de.gz", "rt", encoding="utf-8") as lines:
            found = [len(re.findall(r"\w+|[^\w\s]", line)) + 1 for line in lines]
        return found[:count], "the first of Multi30k's test_2016_flickr.de"
    drawn = generator.normal(MEAN, DEVIATION, count).round().clip(SHORTEST, LONGEST)
    return [int(length) for length in drawn], f"drawn from N({MEAN}, {DEVIATION}²), {SHORTEST} to {LONGEST}"


def prepared(batches: int, threads: int) -> tuple[dict[str, Any], str]:
    """Return the work for every system, sizes and batches of random words, and the origin of the lengths."""
    work: dict[str, Any] = {**SIZES, "threads": threads}
    generator = np.random.default_rng(1)
    drawn, origin = lengths(batches * BATCH, generator)
    rows = []
    for start in range(0, len(drawn), BATCH):
        sizes = drawn[start : start + BATCH]
        source = np.zeros((len(sizes), max(sizes)), dtype=int)
        for row, length in zip(source, sizes, strict=True):
            row[:length] = generator.integers(4, work["sources"], length)
        rows.append({"source": source.tolist(), "lengths": sizes})
    return {**work, "batches": rows}, origin


def measured(systems: list[System], rounds: int, clock: str) -> dict[str, dict[str, list[float]]]:
    """Measure sentences per second of every cell and system in every round. Raises UserError for a cell with a wrong
    number of steps."""
    found: dict[str, dict[str, list[float]]] = {cell: {} for cell in CELLS}
    for turn in range(rounds + 1):
        for cell in CELLS:
            able = [s for s in systems if cell.rpartition(" ")[0] in s.started["parameters"]]
            for system in able[turn % len(able) :] + able[: turn % len(able)]:
                answer = system.request(cell)
                sentences, rest = divmod(answer["tokens"], SIZES["steps"])
                if rest or not sentences:
                    raise UserError(f"{system.name}, {cell}: {answer['tokens']} tokens, expected {SIZES['steps']} each")
                if turn:  # the first round is warm-up
                    found[cell].setdefault(system.name, []).append(sentences / answer[clock])
    return found


def main(arguments: list[str]) -> None:
    """Run the benchmark, and print its table and conditions."""
    given = key_values(arguments, ("rounds", "batches", "threads", "clock", "systems", "peers"))
    defaults = {"rounds": "7", "batches": "2", "threads": "2"}
    rounds, batches, threads = (whole(key, given.get(key, default), 1, 999) for key, default in defaults.items())
    clock = given.get("clock", "wall")
    if clock not in ("wall", "processor"):
        raise UserError(f"clock={clock}: expected wall or processor")
    work, origin = prepared(batches, threads)
    folder = Path(given.get("peers", ROOT / ".peers"))
    homes = {"softlookup": Path(sys.executable)} | {
        name: folder / name.lower() / "bin" / "python" for name in ("JoeyNMT", "OpenNMT-py")
    }
    wanted = given["systems"].split(",") if "systems" in given else list(homes)
    if unknown := set(wanted) - set(homes):
        raise UserError(f"systems={given['systems']}: there is no {unknown.pop()}; valid: {', '.join(homes)}")
    with ExitStack() as open_systems:
        systems = []
        for name in wanted:
            systems.append(System(name, homes[name], work))
            open_systems.callback(systems[-1].close)
        before = os.getloadavg()[0]
        found = measured(systems, rounds, clock)
    Console().print(table(found, systems))
    unit = "second" if clock == "wall" else "second of processor time"
    print(f"sentences a {unit}: medians of {rounds} rounds (lowest to highest), {batches} × {BATCH} sentences a round")
    print(f"source lengths: {origin}")
    print(f"{SIZES['steps']} forced steps, beam {SIZES['beam']}, float32, CPU, {threads} threads")
    print(f"load of the machine before and after: {before:.1f}, {os.getloadavg()[0]:.1f}; {os.cpu_count()} processors")
    for system in systems:
        sizes = ", ".join(f"{name} {count / 1e6:.2f} M" for name, count in system.started["parameters"].items())
        print(f"{system.started['version']}: parameters {sizes}")
    print(DIFFERS)


def table(found: dict[str, dict[str, list[float]]], systems: list[System]) -> Table:
    """Make the table of cells by systems, with the median over rounds of the ratio of ours to the best peer.

    The rnn of the peers is compared with both of ours.
    """
    shown = Table("", *(system.name for system in systems), "× best peer", box=None)
    for cell, speeds in found.items():
        beside = {**found.get(cell.replace(" (luong)", ""), {}), **speeds}
        row = []
        for system in systems:
            rates = beside.get(system.name, [])
            row.append(f"{statistics.median(rates):.0f} ({min(rates):.0f}–{max(rates):.0f})" if rates else "")
        best = [max(peers) for peers in zip(*(v for name, v in beside.items() if name != "softlookup"), strict=True)]
        ratios = [ours / peer for ours, peer in zip(speeds.get("softlookup", []), best, strict=False)]
        shown.add_row(cell, *row, f"{statistics.median(ratios):.2f}" if ratios else "")
    return shown


if __name__ == "__main__":
    entry_point.run(main, __doc__, product=True)
