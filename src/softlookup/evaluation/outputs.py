"""Decode a test set: what a model writes freely, and what it would write under teacher forcing."""

from dataclasses import dataclass

import numpy as np
import torch

from softlookup.contract import Batch, Exam, Example
from softlookup.data.collate import evaluation_batches
from softlookup.model.seq2seq import Seq2Seq
from softlookup.search.search import Search
from softlookup.system.ranks import ALONE, Processes
from softlookup.text.vocabulary import EOS


@dataclass(frozen=True)
class Output:
    """Outputs of a model for one example.

    `ids` are freely decoded, including EOS; `forced` are the most probable tokens under teacher forcing. `weights` and
    `forced_weights` (T, S) belong to them, None for a fixed context. S includes the EOS of the source. `forced_heads`
    (layers, H, T, S) are the forced weights by layer and head, None where one lookup without heads is all there is.
    """

    example: Example
    ids: list[int]
    weights: np.ndarray | None
    forced: list[int]
    forced_weights: np.ndarray | None
    forced_heads: np.ndarray | None = None

    @property
    def reference(self) -> list[int]:
        return [*self.example.target, EOS]


@torch.no_grad()
def run_batch(model: Seq2Seq, batch: Batch, search: Search) -> list[Output]:
    """Return the outputs for every example of a batch, by free decoding and teacher forcing, without padding."""
    model.eval()
    decoded = model.teach(batch, weights=True)
    forced_weights, heads = decoded.weights, torch.stack(decoded.lookups, 1) if decoded.lookups else None
    forced = batch.target.clone()
    forced[batch.target_mask] = model.output(decoded.readout[batch.target_mask]).argmax(-1)
    written = search(model, batch.source, batch.source_mask)
    outputs = []
    for i, example in enumerate(batch.examples):
        best = written[i][0]
        target, source = len(example.target) + 1, len(example.source) + 1
        outputs.append(
            Output(
                example,
                best.ids,
                best.weights,
                forced[i, :target].tolist(),
                None if forced_weights is None else forced_weights[i, :target, :source].cpu().numpy(),
                None if heads is None else heads[i, ..., :target, :source].cpu().numpy(),
            )
        )
    return outputs


def run_test(
    model: Seq2Seq, task: Exam, device: torch.device, search: Search, processes: Processes = ALONE
) -> list[Output]:
    """Return the outputs for a test set, sorted by source length; every rank gets all of them."""
    batches = processes.share(evaluation_batches(task.test()))
    outputs = [run_batch(model, batch.to(device), search) for batch in batches]
    return [output for batch in processes.gathered(outputs) for output in batch]
