"""Serve the benchmark cells of one system to `bench_peers.py` over standard input and output.

One JSON line per message: first the work, then one request per cell. Imports only the standard library and torch, since
it also runs in the environments of the peers.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch


class Batch(NamedTuple):
    """Sentence pairs as ids: source (B, S) and target (B, T), both with EOS and padded with 0; lengths (B,) of the
    sources."""

    source: torch.Tensor
    lengths: torch.Tensor
    target: torch.Tensor


class Prepared(NamedTuple):
    """A system, ready for the work.

    `cells` by name: a cell named "MODEL training" takes one training step on a batch and returns the number of target
    tokens; any other decodes the sources and returns the number of tokens in the best hypotheses. `parameters` is the
    size of each model, `version` names the system. `floor`, if the system has it, returns the seconds of wall and of
    processor time that the matrix products of a training cell take alone, and their number of floating-point
    operations.
    """

    cells: dict[str, Callable[[Batch], int]]
    parameters: dict[str, int]
    version: str
    floor: Callable[[str, list[Batch]], dict[str, float]] | None = None


def with_bos_and_eos(target: torch.Tensor, ids: tuple[int, int, int]) -> torch.Tensor:
    """Return a target (B, T) as (B, T + 1): BOS, the words and EOS, padded, with these ids of padding, BOS and EOS.

    The last token of each row becomes EOS; the number of tokens stays.
    """
    padding, bos, eos = ids
    rows = torch.cat([target.new_full((len(target), 1), bos), target.masked_fill(target == 0, padding)], 1)
    return rows.scatter_(1, (target != 0).sum(1, keepdim=True), eos)


def serve(prepare: Callable[[dict[str, Any]], Prepared]) -> None:
    """Answer requests until the end of standard input. Output printed by the system goes to standard error."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def answer(**content: Any) -> None:
        answers.write(json.dumps(content) + "\n")
        answers.flush()

    work = json.loads(sys.stdin.readline())
    torch.set_num_threads(work["threads"])
    torch.manual_seed(1)
    batches = {
        kind: [Batch(*(torch.tensor(batch[name]) for name in Batch._fields)) for batch in work["batches"][kind]]
        for kind in work["batches"]
    }
    system = prepare(work)
    answer(
        parameters=system.parameters,
        version=f"{system.version}, torch {torch.__version__}",
        cells=list(system.cells),
        floors=system.floor is not None,
    )
    for line in sys.stdin:
        request, tokens = json.loads(line), 0
        cell, training = request["cell"], request["cell"].endswith(" training")
        given = batches["training" if training else "decoding"]
        if request["floor"]:
            assert system.floor is not None
            answer(**system.floor(cell, given))
            continue
        start, cpu_start = time.perf_counter(), time.process_time()
        with torch.set_grad_enabled(training):
            for batch in given:
                tokens += system.cells[cell](batch)
        answer(wall=time.perf_counter() - start, processor=time.process_time() - cpu_start, tokens=tokens)
