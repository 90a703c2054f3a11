"""Serve the benchmark cells of one system to `bench_peers.py` over standard input and output.

One JSON line per message: first the work, then one request per cell. Imports only the standard library and torch, since
it also runs in the environments of the peers.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

# A cell decodes source (B, S) with lengths (B,), and returns the number of tokens in the best hypotheses.
Cell = Callable[[torch.Tensor, torch.Tensor], int]
# Prepare a system for the work: cells by name, parameter counts by model, and the version of the system.
Prepare = Callable[[dict[str, Any]], tuple[dict[str, Cell], dict[str, int], str]]


def serve(prepare: Prepare) -> None:
    """Answer requests until the end of standard input. Output printed by the system goes to standard error."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def answer(**content: Any) -> None:
        answers.write(json.dumps(content) + "\n")
        answers.flush()

    work = json.loads(sys.stdin.readline())
    torch.set_num_threads(work["threads"])
    torch.manual_seed(1)
    cells, parameters, version = prepare(work)
    batches = [(torch.tensor(batch["source"]), torch.tensor(batch["lengths"])) for batch in work["batches"]]
    answer(parameters=parameters, version=f"{version}, torch {torch.__version__}")
    for line in sys.stdin:
        cell, tokens = cells[json.loads(line)], 0
        start, cpu_start = time.perf_counter(), time.process_time()
        with torch.no_grad():
            for source, lengths in batches:
                tokens += cell(source, lengths)
        answer(wall=time.perf_counter() - start, processor=time.process_time() - cpu_start, tokens=tokens)
