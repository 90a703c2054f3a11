"""Evaluate a trained model on a test set, with teacher forcing and with free decoding."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from softlookup.contract import Batch, Exam, Example
from softlookup.data.collate import evaluation_batches
from softlookup.evaluation.metrics import alignment, bootstrap, links, sequence, translation
from softlookup.model.seq2seq import Seq2Seq
from softlookup.search.search import Search
from softlookup.system.ranks import ALONE, Processes
from softlookup.text.vocabulary import EOS, UNK

HEAT_MAPS = 4


@dataclass(frozen=True)
class Output:
    """Outputs of a model for one example.

    `ids` are freely decoded, including EOS; `forced` are the most probable tokens under teacher forcing. `weights` and
    `forced_weights` (T, S) belong to them, None for a fixed context. S includes the EOS of the source.
    """

    example: Example
    ids: list[int]
    weights: np.ndarray | None
    forced: list[int]
    forced_weights: np.ndarray | None

    @property
    def reference(self) -> list[int]:
        return [*self.example.target, EOS]


@dataclass(frozen=True)
class HeatMap:
    """A heat map of one example: weights (T, S) of the tokens that the model wrote, gold (T, S) of the reference up to
    the first token in which the two differ."""

    weights: np.ndarray
    gold: np.ndarray
    source: list[str]
    target: list[str]
    reference: list[str]


@dataclass(frozen=True)
class Evaluation:
    """Metrics of the test set, its rows by source length, and a few heat maps."""

    metrics: dict[str, float | None]
    by_length: list[dict[str, Any]]
    signatures: dict[str, str]
    heat_maps: list[HeatMap] = field(default_factory=list)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the heat maps as arrays that load without pickle: weights_0, gold_0, source_0, target_0,
        reference_0, …"""
        return {
            f"{name}_{i}": np.asarray(getattr(drawn, name))
            for i, drawn in enumerate(self.heat_maps)
            for name in ("weights", "gold", "source", "target", "reference")
        }


@torch.no_grad()
def run_batch(model: Seq2Seq, batch: Batch, search: Search) -> list[Output]:
    """Return the outputs for every example of a batch, by free decoding and teacher forcing, without padding."""
    model.eval()
    logits, forced_weights = model(batch)
    forced = batch.target.clone()
    forced[batch.target_mask] = logits.argmax(-1)
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
            )
        )
    return outputs


def evaluate(
    model: Seq2Seq, task: Exam, device: torch.device, search: Search, processes: Processes = ALONE
) -> Evaluation:
    """Return all test metrics of a trained model. Alignment is None for a fixed context, BLEU for tasks without text.

    Each rank decodes whole batches, and every rank measures the gathered outputs of all: the same numbers, in the same
    order, as with one process.
    """
    return measured(run_test(model, task, device, search, processes), task)


def run_test(
    model: Seq2Seq, task: Exam, device: torch.device, search: Search, processes: Processes = ALONE
) -> list[Output]:
    """Return the outputs for a test set, sorted by source length; every rank gets all of them."""
    batches = processes.share(evaluation_batches(task.test()))
    outputs = [run_batch(model, batch.to(device), search) for batch in batches]
    return [output for batch in processes.gathered(outputs) for output in batch]


def measured(outputs: list[Output], task: Exam) -> Evaluation:
    """Measure what `run_test` returned: all metrics of the set, its rows by source length, a few heat maps."""
    lengths = [output.example.length for output in outputs]
    by_length = sequence.by_length(lengths, task.buckets, lambda members: _bucket([outputs[i] for i in members], task))
    metrics = {f"test/{name}": value for name, value in _row(outputs, task).items()}
    metrics["test/area"] = sequence.area(by_length)
    metrics["test/effective_length"] = sequence.effective_length(by_length)
    references = 1 + max((len(output.example.further) for output in outputs), default=0)
    signatures = translation.signatures(task.splitting, references)
    return Evaluation(metrics, by_length, signatures, _heat_maps(outputs, task))


def _row(outputs: list[Output], task: Exam) -> dict[str, float | None]:
    """Return the metrics of a set of outputs: free decoding under plain names, teacher forcing under `forced/`.

    Alignment with teacher forcing is measured at every position; with free decoding at the positions before the first
    token that differs from the reference, except entropy, which needs no reference and is measured over all rows.
    """
    targets = [output.example.target for output in outputs]
    # Under teacher forcing a wrong EOS does not affect later positions: all of them count.
    references = [np.array(o.reference) for o in outputs]
    forced_right = [(np.array(o.forced) == r) & (r != UNK) for o, r in zip(outputs, references, strict=True)]
    whole = [len(target) for target in targets]
    forced = _alignment(outputs, [o.forced_weights for o in outputs], whole, forced_right)
    agreed = [sequence.agreed(o.ids, o.example.target) for o in outputs]
    return {
        **sequence.measure([o.ids for o in outputs], targets, [_wanted(o, task) for o in outputs]),
        **_alignment(outputs, [o.weights for o in outputs], agreed),
        **_translation(outputs, task),
        "forced/token_accuracy": float(np.concatenate(forced_right).mean()) if outputs else None,
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


def _heat_maps(outputs: list[Output], task: Exam) -> list[HeatMap]:
    """Choose a few examples to draw: at the longest training length, below it, and beyond."""
    drawable = [o for o in outputs if o.weights is not None]
    wanted = [round(task.lengths[1] * share) for share in (0.75, 1.0, 0.5, 1.5)]
    chosen: list[Output] = []
    for length in wanted[: min(HEAT_MAPS, len(drawable))]:
        left = [o for o in drawable if all(o is not other for other in chosen)]
        chosen.append(min(left, key=lambda o: abs(len(o.example.source) - length)))
    return [_heat_map(output, task) for output in chosen]


def _heat_map(output: Output, task: Exam) -> HeatMap:
    assert output.weights is not None
    gold = np.zeros(output.weights.shape, dtype=bool)
    # After the first difference the rows show other words than those that gold is for.
    for t, positions in enumerate(output.example.sure[: sequence.agreed(output.ids, output.example.target)]):
        gold[t, list(positions)] = True
    source, target = task.source_vocabulary.tokens, task.target_vocabulary.tokens
    return HeatMap(
        weights=output.weights.astype(np.float32),
        gold=gold,
        source=[source[i] for i in (*output.example.source, EOS)],
        target=[target[i] for i in output.ids],
        reference=[target[i] for i in output.reference],
    )
