"""Evaluate a trained model on a test set, with teacher forcing and with free decoding."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from softlookup.contract import Exam, Task
from softlookup.evaluation.heat_maps import HeatMap, heat_maps
from softlookup.evaluation.metrics import alignment, bootstrap, links, sequence, translation
from softlookup.evaluation.outputs import Output, run_test
from softlookup.model.seq2seq import Seq2Seq
from softlookup.search.search import Search
from softlookup.system.ranks import ALONE, Processes
from softlookup.text.vocabulary import UNK


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
    lengths = [output.example.length for output in outputs]
    by_length = sequence.by_length(lengths, task.buckets, lambda members: _bucket([outputs[i] for i in members], task))
    metrics = {f"test/{name}": value for name, value in _row(outputs, task).items()}
    metrics["test/area"] = sequence.area(by_length)
    metrics["test/effective_length"] = sequence.effective_length(by_length)
    references = 1 + max((len(output.example.further) for output in outputs), default=0)
    signatures = translation.signatures(task.splitting, references)
    drawn = heat_maps(outputs, task, model)
    ranges = [] if longest is None else _ranges(outputs, task, longest)
    return Evaluation(metrics, by_length, signatures, drawn, _heads(outputs), ranges)


def _ranges(outputs: list[Output], task: Exam, longest: int) -> list[dict[str, Any]]:
    """Return the metrics of the sources up to `longest` as `trained`, and of the longer ones as `beyond`.

    Corpus BLEU and shares of positions are not the means of those of the buckets.
    """
    rows = []
    for name in ("trained", "beyond"):
        members = [output for output in outputs if (output.example.length > longest) == (name == "beyond")]
        if members:
            lengths = [output.example.length for output in members]
            place = {"range": name, "low": min(lengths), "high": max(lengths), "count": len(members)}
            rows.append({**place, **_row(members, task)})
    return rows


def _heads(outputs: list[Output]) -> list[dict[str, Any]]:
    """Return the forced alignment measures of each head of each layer."""
    by_head = [output.forced_heads for output in outputs if output.forced_heads is not None]
    if not by_head or len(by_head) < len(outputs):
        return []
    layers, heads = by_head[0].shape[:2]
    return [
        {"layer": layer + 1, "head": head + 1, **_forced(outputs, [weights[layer, head] for weights in by_head])}
        for layer in range(layers)
        for head in range(heads)
    ]


def _forced(outputs: list[Output], weights: list[np.ndarray | None]) -> dict[str, float | None]:
    """Return the alignment measures of weights under teacher forcing."""
    return _alignment(outputs, weights, [len(o.example.target) for o in outputs], _right(outputs))


def _right(outputs: list[Output]) -> list[np.ndarray]:
    """Return which tokens are right under teacher forcing. A wrong EOS does not affect later positions: all count."""
    references = [np.array(o.reference) for o in outputs]
    return [(np.array(o.forced) == r) & (r != UNK) for o, r in zip(outputs, references, strict=True)]


def _row(outputs: list[Output], task: Exam) -> dict[str, float | None]:
    """Return the metrics of a set of outputs: free decoding under plain names, teacher forcing under `forced/`.

    Alignment with teacher forcing is measured at every position; with free decoding at the positions before the first
    token that differs from the reference, except entropy, which needs no reference and is measured over all rows.
    """
    targets = [output.example.target for output in outputs]
    forced = _forced(outputs, [o.forced_weights for o in outputs])
    agreed = [sequence.agreed(o.ids, o.example.target) for o in outputs]
    return {
        **sequence.measure([o.ids for o in outputs], targets, [_wanted(o, task) for o in outputs]),
        **_alignment(outputs, [o.weights for o in outputs], agreed),
        **_translation(outputs, task),
        "forced/token_accuracy": float(np.concatenate(_right(outputs)).mean()) if outputs else None,
        **{f"forced/{name}": value for name, value in forced.items()},
        **_word_errors(outputs),
    }


def _bucket(outputs: list[Output], task: Exam) -> dict[str, float | None]:
    """Return the metrics of a set, with confidence bounds of BLEU."""
    hypotheses, references, *further = texts(outputs, task)
    cased, lowercased = (
        bootstrap.bleu_band(hypotheses, references, low, name, further, tokenizer=task.splitting.tokenizer)
        for low, name in ((False, "bleu"), (True, "bleu_lowercased"))
    )
    return {**_row(outputs, task), **cased, **lowercased}


def _alignment(
    outputs: list[Output], weights: list[np.ndarray | None], until: list[int], right: list[np.ndarray] | None = None
) -> dict[str, float | None]:
    """Return the alignment measures of these weights, compared with gold at the first `until` positions of each
    example."""
    examples = [output.example for output in outputs]
    # Without the row of EOS: no task has gold for it, and every mechanism attends to the end there.
    words = [w if w is None else w[: len(e.target)] for w, e in zip(weights, examples, strict=True)]
    sure = [e.sure[:n] for e, n in zip(examples, until, strict=True)]
    possible = [e.possible[:n] for e, n in zip(examples, until, strict=True)]
    return alignment.measure(words, sure, possible, right)


def _word_errors(outputs: list[Output]) -> dict[str, float | None]:
    """Return the AER of hard links between words with teacher forcing (Luong 2015, section 5.4) against the gold and
    silver links of the text; empty for text without links, None for a fixed context."""
    found = {}
    known = [(o.example, o.forced_weights, o.example.links) for o in outputs if o.example.links is not None]
    for name, kind in (("forced/aer", "gold"), ("forced/aer_silver", "silver")):
        rows = [(example, w, words, getattr(words, kind)) for example, w, words in known if getattr(words, kind)]
        if rows:
            made = [
                links.lifted(links.hard(w[: len(e.target), : len(e.source)]), words.source, words.target)
                for e, w, words, _ in rows
                if w is not None
            ]
            found[name] = links.aer(made, [gold for *_, gold in rows]) if len(made) == len(rows) else None
    return found


def _translation(outputs: list[Output], task: Exam) -> dict[str, float | None]:
    hypotheses, references, *further = texts(outputs, task)
    return translation.measure(hypotheses, references, task.splitting, further)


def _wanted(output: Output, task: Exam) -> tuple[str, str] | None:
    """Return the output text and the spelling of a perfect output; None for tasks without text."""
    vocabulary, reference = task.target_vocabulary, output.example.reference
    return None if reference is None else (vocabulary.write(output.ids), vocabulary.spelled(reference))


def texts(outputs: list[Output], task: Exam) -> list[list[str]]:
    """Return hypotheses, references and any further references of the examples that are text."""
    rows = [
        (task.target_vocabulary.write(o.ids), o.example.reference, *o.example.further)
        for o in outputs
        if o.example.reference is not None
    ]
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[], []]
