"""Measure any subset of the outputs for a test set; each output is examined once."""

from collections.abc import Sequence

import numpy as np

from softlookup.contract import Exam
from softlookup.evaluation.metrics import alignment, links, sequence, translation
from softlookup.evaluation.outputs import Output
from softlookup.text.pharaoh import Links
from softlookup.text.vocabulary import UNK

_LINKS = (("forced/aer", "gold"), ("forced/aer_silver", "silver"))


class Examined:
    """The outputs for a test set, examined: `row` measures any subset of them, named by their indices.

    Corpus measures are no means over sentences, so that a set, its buckets of source length and its ranges are measured
    separately; what they are computed from is found once for each sentence.
    """

    def __init__(self, outputs: list[Output], task: Exam) -> None:
        self._outputs = outputs
        targets = [output.example.target for output in outputs]
        self._right = [sequence.right(o.ids, target) for o, target in zip(outputs, targets, strict=True)]
        self._exact = [
            sequence.exact(o.ids, target, _spelled(o, task)) for o, target in zip(outputs, targets, strict=True)
        ]
        self._forced_right = [_forced_right(output) for output in outputs]
        nothing = np.zeros(0, dtype=bool)
        self._free = [_compared(o, o.weights, sequence.agreed(o.ids, o.example.target), nothing) for o in outputs]
        self._forced = self._under_teacher_forcing([o.forced_weights for o in outputs])
        self._links = [_word_links(output) for output in outputs]
        self._texts = [place for place, output in enumerate(outputs) if output.example.reference is not None]
        self._place = {place: number for number, place in enumerate(self._texts)}
        hypotheses, references, *further = texts(outputs, task)
        self._corpus = translation.Corpus(hypotheses, references, task.splitting, further)

    def row(self, members: Sequence[int]) -> dict[str, float | None]:
        """Return the metrics of these outputs: free decoding under plain names, teacher forcing under `forced/`.

        Alignment with teacher forcing is measured at every position; with free decoding at the positions before the
        first token that differs from the reference, except entropy, which needs no reference and is measured over all
        rows.
        """
        forced = alignment.corpus([self._forced[i] for i in members], with_right=True)
        right = [self._forced_right[i] for i in members]
        return {
            **sequence.shares([self._right[i] for i in members], [self._exact[i] for i in members]),
            **alignment.corpus([self._free[i] for i in members], with_right=False),
            **self._corpus.measure(self._with_text(members)),
            "forced/token_accuracy": float(np.concatenate(right).mean()) if right else None,
            **{f"forced/{name}": value for name, value in forced.items()},
            **self._word_errors(members),
        }

    def bucket(self, members: Sequence[int]) -> dict[str, float | None]:
        """Return the metrics of these outputs, with confidence bounds of BLEU."""
        return {**self.row(members), **self._corpus.bands(self._with_text(members))}

    def heads(self) -> list[dict[str, float | int | None]]:
        """Return the forced alignment measures of each head of each layer, over all outputs."""
        by_head = [o.forced_heads for o in self._outputs if o.forced_heads is not None]
        if not by_head or len(by_head) < len(self._outputs):
            return []
        layers, heads = by_head[0].shape[:2]
        return [
            {
                **{"layer": layer + 1, "head": head + 1},
                **alignment.corpus(self._under_teacher_forcing([w[layer, head] for w in by_head]), with_right=True),
            }
            for layer in range(layers)
            for head in range(heads)
        ]

    def _under_teacher_forcing(self, weights: Sequence[np.ndarray | None]) -> list[alignment.Compared | None]:
        """Compare weights under teacher forcing with gold, at every position of each output."""
        given = zip(self._outputs, weights, self._forced_right, strict=True)
        return [_compared(o, w, len(o.example.target), right) for o, w, right in given]

    def _with_text(self, members: Sequence[int]) -> list[int]:
        return [self._place[i] for i in members if i in self._place]

    def _word_errors(self, members: Sequence[int]) -> dict[str, float | None]:
        """Return the AER of hard links between words with teacher forcing (Luong 2015, section 5.4) against the gold
        and silver links of the text; empty for text without links, None for a fixed context."""
        found: dict[str, float | None] = {}
        for name, kind in _LINKS:
            gold = [(i, getattr(self._outputs[i].example.links, kind, None)) for i in members]
            known = [(i, wanted) for i, wanted in gold if wanted]
            made = [links_made for i, _ in known if (links_made := self._links[i]) is not None]
            if known:
                whole = len(made) == len(known)
                found[name] = links.aer(made, [wanted for _, wanted in known]) if whole else None
        return found


def _compared(output: Output, weights: np.ndarray | None, until: int, right: np.ndarray) -> alignment.Compared | None:
    """Compare weights with gold at the first `until` positions of an output."""
    example = output.example
    # Without the row of EOS: no task has gold for it, and every mechanism attends to the end there.
    words = None if weights is None else weights[: len(example.target)]
    return alignment.compared(words, example.sure[:until], example.possible[:until], right)


def _word_links(output: Output) -> Links | None:
    """Return the hard links between words with teacher forcing; None without weights and for text without links."""
    words, weights, example = output.example.links, output.forced_weights, output.example
    if words is None or weights is None:
        return None
    inside = weights[: len(example.target), : len(example.source)]
    return links.lifted(links.hard(inside), words.source, words.target)


def _forced_right(output: Output) -> np.ndarray:
    """Return which tokens are right under teacher forcing. A wrong EOS does not affect later positions: all count."""
    reference = np.array(output.reference)
    return np.asarray((np.array(output.forced) == reference) & (reference != UNK))


def _spelled(output: Output, task: Exam) -> tuple[str, str] | None:
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
