"""Choose examples to draw as heat maps, and collect what is drawn."""

from dataclasses import dataclass, field

import numpy as np

from softlookup.contract import Exam
from softlookup.evaluation.layers import weights_of
from softlookup.evaluation.metrics import sequence
from softlookup.evaluation.outputs import Output
from softlookup.model.seq2seq import Seq2Seq
from softlookup.text.vocabulary import EOS

HEAT_MAPS = 4


@dataclass(frozen=True)
class HeatMap:
    """A heat map of one example: weights (T, S) of the tokens that the model wrote, gold (T, S) of the reference up to
    the first token in which the two differ, and `layers`, the weights of every layer and head, as `layers.weights_of`
    returns them."""

    weights: np.ndarray
    gold: np.ndarray
    source: list[str]
    target: list[str]
    reference: list[str]
    layers: dict[str, np.ndarray] = field(default_factory=dict)


def heat_maps(outputs: list[Output], task: Exam, model: Seq2Seq | None = None) -> list[HeatMap]:
    """Choose a few examples to draw: at the longest training length, below it, and beyond. With a `model` they have
    the weights of its layers and heads."""
    drawable = [o for o in outputs if o.weights is not None]
    wanted = [round(task.lengths[1] * share) for share in (0.75, 1.0, 0.5, 1.5)]
    chosen: list[Output] = []
    for length in wanted[: min(HEAT_MAPS, len(drawable))]:
        left = [o for o in drawable if all(o is not other for other in chosen)]
        chosen.append(min(left, key=lambda o: abs(len(o.example.source) - length)))
    return [_heat_map(output, task, model) for output in chosen]


def _heat_map(output: Output, task: Exam, model: Seq2Seq | None) -> HeatMap:
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
        layers={} if model is None else _layers(model, output),
    )


def _layers(model: Seq2Seq, output: Output) -> dict[str, np.ndarray]:
    """Return the weights of all layers and heads while the model reads what it wrote: T rows, as many as it wrote."""
    rows = len(output.ids)
    found = weights_of(model, output.example.source, tuple(i for i in output.ids if i != EOS))
    return {
        name: weights if name == "encoder" else weights[..., :rows, : rows if name == "decoder" else None]
        for name, weights in found.items()
    }
