"""The conversation of `bench_peers.py` with one system: the work once, then a cell at a time, one JSON line each.

No imports beyond the standard library and torch: it runs in the environments of the peers too.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

# A cell takes source (B, S), lengths (B,) and writes; it returns the number of tokens in the best hypotheses.
Cell = Callable[[torch.Tensor, torch.Tensor], int]
# What prepares a system: from the work to its cells by name, and a sentence for each model.
Prepare = Callable[[dict[str, Any]], tuple[dict[str, Cell], dict[str, int], str]]


def serve(prepare: Prepare) -> None:
    """Answers until the end of standard input. What the systems print goes to standard error."""
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
        began, used = time.perf_counter(), time.process_time()
        with torch.no_grad():
            for source, lengths in batches:
                tokens += cell(source, lengths)
        answer(wall=time.perf_counter() - began, processor=time.process_time() - used, tokens=tokens)
