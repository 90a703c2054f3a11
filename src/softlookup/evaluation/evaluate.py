"""Evaluate a trained model on a test set, with teacher forcing and with free decoding."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from softlookup.contract import Exam, Task
from softlookup.evaluation.examined import Examined
from softlookup.evaluation.heat_maps import HeatMap, heat_maps
from softlookup.evaluation.metrics import sequence, translation
from softlookup.evaluation.outputs import Output, run_test
from softlookup.model.seq2seq import Seq2Seq
from softlookup.search.search import Search
from softlookup.system.ranks import ALONE, Processes


@dataclass(frozen=True)
class Evaluation:
    """Metrics of the test set, its rows by source length, and a few heat maps.

    `ranges` has the metrics of the sources up to the longest of training and of those beyond, where both are known;
    `heads` has the forced alignment measures of each head, by `layer` and `head` from 1 on; empty without heads.
    """

    metrics: dict[str, float | None]
    by_length: list[dict[str, Any]]
    signatures: dict[str, str]
    heat_maps: list[HeatMap] = field(default_factory=list)
    heads: list[dict[str, Any]] = field(default_factory=list)
    ranges: list[dict[str, Any]] = field(default_factory=list)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the heat maps as arrays that load without pickle: weights_0, gold_0, source_0, target_0,
        reference_0, …, and those of lookups_0, encoder_0 and decoder_0 that a model has."""
        names = ("weights", "gold", "source", "target", "reference")
        return {
            f"{name}_{i}": np.asarray(values)
            for i, drawn in enumerate(self.heat_maps)
            for name, values in (*((name, getattr(drawn, name)) for name in names), *drawn.layers.items())
        }


def evaluate(
    model: Seq2Seq, task: Task, device: torch.device, search: Search, processes: Processes = ALONE
) -> Evaluation:
    """Return all test metrics of a trained model. Alignment is None for a fixed context, BLEU for tasks without text.

    Each rank decodes whole batches, and every rank measures the gathered outputs of all: the same numbers, in the same
    order, as with one process.
    """
    return measured(run_test(model, task, device, search, processes), task, model, task.trained)


def measured(outputs: list[Output], task: Exam, model: Seq2Seq | None = None, longest: int | None = None) -> Evaluation:
    """Measure what `run_test` returned: all metrics of the set, its rows by source length, each head, and a few heat
    maps, with the weights of all layers where the `model` is given; and the metrics up to the `longest` source length
    of training and beyond it, where that is given."""
    examined = Examined(outputs, task)
    lengths = [output.example.length for output in outputs]
    by_length = sequence.by_length(lengths, task.buckets, examined.bucket)
    metrics = {f"test/{name}": value for name, value in examined.row(range(len(outputs))).items()}
    metrics["test/area"] = sequence.area(by_length)
    metrics["test/effective_length"] = sequence.effective_length(by_length)
    references = 1 + max((len(output.example.further) for output in outputs), default=0)
    signatures = translation.signatures(task.splitting, references)
    drawn = heat_maps(outputs, task, model)
    ranges = [] if longest is None else _ranges(examined, lengths, longest)
    return Evaluation(metrics, by_length, signatures, drawn, examined.heads(), ranges)


def _ranges(examined: Examined, lengths: list[int], longest: int) -> list[dict[str, Any]]:
    """Return the metrics of the sources up to `longest` as `trained`, and of the longer ones as `beyond`.

    Corpus BLEU and shares of positions are not the means of those of the buckets.
    """
    rows = []
    for name in ("trained", "beyond"):
        members = [place for place, length in enumerate(lengths) if (length > longest) == (name == "beyond")]
        if members:
            inside = [lengths[place] for place in members]
            place = {"range": name, "low": min(inside), "high": max(inside), "count": len(members)}
            rows.append({**place, **examined.row(members)})
    return rows
