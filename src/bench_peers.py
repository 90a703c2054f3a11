"""Compare training and decoding speed with JoeyNMT, OpenNMT-py, Eole and CTranslate2, interleaved on one machine.

make bench-peers [ARGS="rounds=9 batches=2 threads=2 systems=softlookup,Eole cells=training"]
make bench-peers ARGS="threads=1 clock=processor"    processor time instead of wall time, for a shared machine

Cells: training steps, greedy search and a beam of five, each with a recurrent model (ours with two decoders) and a
transformer, with as many parameters in every system and random weights. All systems get the same batches of 64
sentences of random words; their lengths are those of Multi30k if MULTI30K_DIR is set, otherwise drawn with the same
mean and deviation. A training step is forward, loss, backward, clipping and Adam; ours is also timed with products in
bf16 (precision=bf16) where the processor has instructions for them. Every hypothesis is forced to 13 steps (EOS is
forbidden), so that speed does not depend on training. The systems run in separate processes, one at a time: in every
round each of them runs each cell once, in an order that rotates from round to round.

rounds=7                     number of rounds
batches=2                    batches of 64 sentences per round
threads=2                    threads of each system
clock=wall                   wall or processor: which time is measured
cells=WORD,WORD              only cells whose name has one of these words, as in training, rnn or transformer greedy
systems=NAME,NAME            systems to time; default: all that are installed
peers=.peers                 folder in which the peers are installed
output=runs/bench_peers.json file with all figures
"""

from softlookup.system.entry_point import announce

if __name__ == "__main__":
    announce("preparing the data …")

import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console

from peers.process import System
from peers.report import BASELINE, OURS, Speeds, conditions, summary, table
from peers.workload import prepared
from softlookup.config.command_line import whole
from softlookup.errors import UserError, key_values, nearest
from softlookup.runs.provenance import machine
from softlookup.runs.run_folder import json_of
from softlookup.system import atomic_files, entry_point
from softlookup.timing.plan import now

ROOT = Path(__file__).parents[1]
MODELS = ("rnn", "rnn (luong)", "transformer")
# Ours alone, beside the float32 of the others.
BF16 = ("rnn (bf16)", "rnn (luong, bf16)", "transformer (bf16)")
CELLS = (
    *(f"{model} training" for model in (*MODELS, *BF16)),
    *(f"{model} {kind}" for kind in ("greedy", "beam") for model in MODELS),
)
SYSTEMS = {
    OURS: "our_cells.py",
    "JoeyNMT": "joeynmt_cells.py",
    "OpenNMT-py": "opennmt_cells.py",
    "Eole": "eole_cells.py",
    BASELINE: "ctranslate2_cells.py",
}
# Columns that the table takes at least: cut figures would be worse than lines that a narrow terminal folds.
WIDTH = 170
# Largest difference of a model's number of parameters from ours.
ALIKE = 0.02


def main(arguments: list[str]) -> None:
    """Run the benchmark, print its table and conditions, and write its file."""
    keys = ("rounds", "batches", "threads", "clock", "cells", "systems", "peers", "output")
    given = key_values(arguments, keys)
    defaults = {"rounds": "7", "batches": "2", "threads": "2"}
    rounds, batches, threads = (whole(key, given.get(key, default), 1, 999) for key, default in defaults.items())
    clock = given.get("clock", "wall")
    if clock not in ("wall", "processor"):
        raise UserError(f"clock={clock}: expected wall or processor")
    cells = chosen(given.get("cells", ""))
    pythons, missing = installed(given.get("systems"), Path(given.get("peers", ROOT / ".peers")))
    output = Path(given.get("output", ROOT / "runs" / "bench_peers.json")).absolute()
    output.parent.mkdir(parents=True, exist_ok=True)  # before what takes minutes
    work, origin = prepared(batches, threads)
    with ExitStack() as open_systems:
        systems = []
        for name, python in pythons.items():
            systems.append(System(name, SYSTEMS[name], python, work))
            open_systems.callback(systems[-1].close)
        require_equal_sizes(systems)
        before = os.getloadavg()[0]
        found = measured(systems, cells, rounds, clock)
        floors = {
            cell: system.floor(cell) for system in systems if system.floors for cell in found if "training" in cell
        }
    held: dict[str, Any] = {
        "made": now(), "rounds": rounds, "batches": batches, "threads": threads, "clock": clock, "lengths": origin,
        "machine": machine(), "load": [before, os.getloadavg()[0]],
        "systems": {system.name: {"version": system.version, "parameters": system.parameters} for system in systems},
        "not_installed": missing,
    }  # fmt: skip
    held["cells"] = summary(found, floors, work, clock)
    Console(width=max(WIDTH, Console().width)).print(table(held["cells"], [system.name for system in systems]))
    print(conditions(held, work))
    atomic_files.write(output, json_of(held))
    print(f"all figures: {output}")


def chosen(words: str) -> list[str]:
    """Return the cells whose name has one of these words, separated by commas; all without words. Raises UserError for
    a word that no name has."""
    if not words:
        return list(CELLS)
    for word in words.split(","):
        if not any(word in cell for cell in CELLS):
            raise UserError(f"cells={words}: no cell has {word} in its name; valid: {', '.join(CELLS)}")
    return [cell for cell in CELLS if any(word in cell for word in words.split(","))]


def installed(names: str | None, folder: Path) -> tuple[dict[str, Path], list[str]]:
    """Return the Python of each system, and the systems that are left out since they are not installed. Raises
    UserError for a system that was asked for by name and is unknown or not installed."""
    pythons = {name: folder / name.lower() / "bin" / "python" for name in SYSTEMS} | {OURS: Path(sys.executable)}
    wanted = names.split(",") if names else list(SYSTEMS)
    for name in wanted:
        if name not in SYSTEMS:
            raise UserError(f"systems={names}: there is no {name}; {nearest(name, SYSTEMS)}")
    missing = [name for name in wanted if not ready(pythons[name], name)]
    if names and missing:
        raise UserError(f"{pythons[missing[0]]}: {missing[0]} is not installed; make bench-peers installs it")
    return {name: pythons[name] for name in wanted if name not in missing}, missing


def ready(python: Path, name: str) -> bool:
    """Return whether a system is installed completely: make bench-peers marks the folder last."""
    return name == OURS or (python.parents[1] / ".ready").exists()


def require_equal_sizes(systems: list[System]) -> None:
    """Raise UserError for a model whose number of parameters differs from one of ours that it is compared with."""
    ours = next((system.parameters for system in systems if system.name == OURS), {})
    for system in systems:
        for model, count in system.parameters.items():
            for name, expected in ours.items():
                if system.name != OURS and name.partition(" ")[0] == model and abs(count - expected) > ALIKE * expected:
                    raise UserError(f"{system.name}, {model}: {count:,} parameters, our {name} has {expected:,}")


def measured(systems: list[System], cells: list[str], rounds: int, clock: str) -> Speeds:
    """Measure the tokens per second of every cell and system in every round. Raises UserError for systems that count
    other numbers of tokens in one cell."""
    found: Speeds = {cell: {} for cell in cells}
    start = time.monotonic()
    counted: dict[str, int] = {}
    for turn in range(rounds + 1):
        for cell in cells:
            able = [system for system in systems if cell in system.cells]
            for place in range(len(able)):
                system = able[(turn + place) % len(able)]
                answer = system.run(cell)
                tokens = int(answer["tokens"])
                kind = "training" if cell.endswith(" training") else "decoding"
                if tokens != counted.setdefault(kind, tokens):
                    raise UserError(f"{system.name}, {cell}: {tokens} tokens, the others {counted[kind]}")
                if turn:  # the first round is warm-up
                    found[cell].setdefault(system.name, []).append(tokens / answer[clock])
        passed = time.monotonic() - start
        print(f"round {turn} of {rounds}, {passed / 60:.1f} min", file=sys.stderr, flush=True)
    return {cell: speeds for cell, speeds in found.items() if speeds}


if __name__ == "__main__":
    entry_point.run(main, __doc__, product=True)
