"""How many sentences a second are decoded, beside JoeyNMT and OpenNMT-py on the same machine at the same time.

make bench-peers [ARGS="rounds=9 batches=2 threads=2 systems=softlookup,JoeyNMT"]
make bench-peers ARGS="threads=1 clock=processor"    seconds of the processor: for a machine that others use

Four cells, each for a recurrent model and a transformer of equal sizes with random weights: greedy search and a beam
of five, 64 sentences at a time. Every hypothesis is made to run 13 steps (its end is forbidden), so that speed does
not depend on what a model learned. Sources are random words; their lengths are those of Multi30k's German test set
where MULTI30K_DIR is set, and else drawn from a normal distribution with its mean and deviation. All systems decode
the same batches, in processes of their own of which one works at a time: in every round each system takes each cell
once, in an order that turns from round to round.

rounds=7            how often each system takes each cell
batches=2           of 64 sentences, in a round
threads=2           of each system
clock=wall          wall or processor: which seconds are counted
systems=NAME,NAME   which to time; left out: softlookup,JoeyNMT,OpenNMT-py
peers=.peers        where the others are installed
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
# Tokens of Multi30k's test_2016_flickr.de, words and marks counted, and the end of sentence: mean, deviation, bounds.
MEAN, DEVIATION, SHORTEST, LONGEST = 13.2, 4.1, 6, 36
DIFFERS = (
    "JoeyNMT and OpenNMT-py step before they look and feed the attentional state into the next step; our rnn looks "
    "before it steps (decoder=bahdanau, readout as wide as the state), so that the context enters the step in its "
    "place. rnn (luong) steps first and feeds too, but with LSTM cells, a third more than their GRU. Our transformer "
    "has one more projection a layer, JoeyNMT's recomputes every prefix (it keeps no cache), and OpenNMT-py's beam "
    "starts with five copies of each sentence where ours starts with one. Penalties are off; nobody keeps weights, "
    "but JoeyNMT's greedy rnn does by itself."
)
SYSTEMS = {"softlookup": "our_cells.py", "JoeyNMT": "joeynmt_cells.py", "OpenNMT-py": "opennmt_cells.py"}


class System:
    """One system in a process of its own, which answers a line with a line. Raises UserError when it cannot start."""

    def __init__(self, name: str, python: Path, work: dict[str, Any]) -> None:
        if not python.exists():
            raise UserError(f"{python}: {name} is not installed; make bench-peers installs it")
        threads = str(work["threads"])
        self.name = name
        # A pipe that nobody reads would stop a talkative system.
        self.said = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            [python, ROOT / "src" / "peers" / SYSTEMS[name]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.said,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "PYTHONWARNINGS": "ignore"},
        )
        self.started = self.ask(work)

    def ask(self, question: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(question) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self.process.wait()
            self.said.seek(0)
            last = (self.said.read().strip().splitlines() or ["without a word"])[-1]
            self.close()
            raise UserError(f"{self.name} ended: {last}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """Ends the process: it goes on only while it is asked."""
        self.process.communicate()
        self.said.close()


def lengths(count: int, generator: np.random.Generator) -> tuple[list[int], str]:
    """Source lengths with the end of sentence, and where they come from."""
    folder = os.environ.get("MULTI30K_DIR")
    if folder:
        with gzip.open(Path(folder) / "test_2016_flickr.de.gz", "rt", encoding="utf-8") as lines:
            found = [len(re.findall(r"\w+|[^\w\s]", line)) + 1 for line in lines]
        return found[:count], "the first of Multi30k's test_2016_flickr.de"
    drawn = generator.normal(MEAN, DEVIATION, count).round().clip(SHORTEST, LONGEST)
    return [int(length) for length in drawn], f"drawn from N({MEAN}, {DEVIATION}²), {SHORTEST} to {LONGEST}"


def prepared(batches: int, threads: int) -> tuple[dict[str, Any], str]:
    """Return the work that every system gets: sizes, and batches of random words; and where the lengths come from."""
    work: dict[str, Any] = {**SIZES, "threads": threads}
    generator = np.random.default_rng(1)
    drawn, origin = lengths(batches * BATCH, generator)
    made = []
    for start in range(0, len(drawn), BATCH):
        own = drawn[start : start + BATCH]
        source = np.zeros((len(own), max(own)), dtype=int)
        for row, length in zip(source, own, strict=True):
            row[:length] = generator.integers(4, work["sources"], length)
        made.append({"source": source.tolist(), "lengths": own})
    return {**work, "batches": made}, origin


def measured(systems: list[System], rounds: int, clock: str) -> dict[str, dict[str, list[float]]]:
    """Sentences a second of every cell and system in every round. Raises UserError for a cell that ran other steps."""
    found: dict[str, dict[str, list[float]]] = {cell: {} for cell in CELLS}
    for turn in range(rounds + 1):
        for cell in CELLS:
            able = [s for s in systems if cell.rpartition(" ")[0] in s.started["parameters"]]
            for system in able[turn % len(able) :] + able[: turn % len(able)]:
                answer = system.ask(cell)
                sentences, rest = divmod(answer["tokens"], SIZES["steps"])
                if rest or not sentences:
                    raise UserError(f"{system.name}, {cell}: {answer['tokens']} tokens are no {SIZES['steps']} each")
                if turn:  # the first is for warming up
                    found[cell].setdefault(system.name, []).append(sentences / answer[clock])
    return found


def main(arguments: list[str]) -> None:
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
    spent = "second" if clock == "wall" else "second of processor time"
    print(f"sentences a {spent}: medians of {rounds} rounds (lowest to highest), {batches} × {BATCH} sentences a round")
    print(f"source lengths: {origin}")
    print(f"{SIZES['steps']} forced steps, beam {SIZES['beam']}, float32, CPU, {threads} threads")
    print(f"load of the machine before and after: {before:.1f}, {os.getloadavg()[0]:.1f}; {os.cpu_count()} processors")
    for system in systems:
        sizes = ", ".join(f"{name} {count / 1e6:.2f} M" for name, count in system.started["parameters"].items())
        print(f"{system.started['version']}: parameters {sizes}")
    print(DIFFERS)


def table(found: dict[str, dict[str, list[float]]], systems: list[System]) -> Table:
    """Cells by systems, and the median over rounds of ours over the best peer's of that round.

    The rnn of the peers stands beside both of ours.
    """
    shown = Table("", *(system.name for system in systems), "× best peer", box=None)
    for cell, speeds in found.items():
        beside = {**found.get(cell.replace(" (luong)", ""), {}), **speeds}
        row = []
        for system in systems:
            own = beside.get(system.name, [])
            row.append(f"{statistics.median(own):.0f} ({min(own):.0f}–{max(own):.0f})" if own else "")
        best = [max(peers) for peers in zip(*(v for name, v in beside.items() if name != "softlookup"), strict=True)]
        ratios = [ours / peer for ours, peer in zip(speeds.get("softlookup", []), best, strict=False)]
        shown.add_row(cell, *row, f"{statistics.median(ratios):.2f}" if ratios else "")
    return shown


if __name__ == "__main__":
    entry_point.run(main, __doc__, product=True)
