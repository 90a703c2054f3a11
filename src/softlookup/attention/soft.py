"""Attend: score, normalize, average. Every score and every normalizer is used through `attend`."""

from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from softlookup.contract import (
    Annotations,
    Attention,
    History,
    KeysAndValues,
    Memory,
    Normalizer,
    Packing,
    Reading,
    Score,
    View,
    Widths,
    Window,
)
from softlookup.fused.context import context as fused_context

Scored = Callable[[Tensor, Tensor, History], tuple[Tensor, History]]


def attend(
    score: Scored, normalizer: Normalizer, query: Tensor, memory: KeysAndValues, view: View, history: History
) -> tuple[Tensor, Tensor, History]:
    """Return context (..., T, D), weights (..., T, S) and the score's history, for queries (..., T, Q) and the
    positions in `view`."""
    scores, history = score(query, memory.keys, history)
    weights = view.narrow(normalizer(scores, view.mask))
    context = weights @ memory.values
    return context, weights, history


class Lookup(Attention):
    """Read with weights over the source positions; step by step if the score depends on the weights of earlier steps.

    The history holds those of the window and of the score, each under its own prefix.
    """

    kind = "lookup"
    stepwise: bool

    @abstractmethod
    def read(
        self, query: Tensor, memory: KeysAndValues, window: History, score: History, weights: bool
    ) -> tuple[Reading, History]:
        """Read once for queries (B, T, Q): return the reading with the window's next history, and the score's next
        history. The reading may lack its weights unless they are requested, or the score depends on them."""

    def forward(self, query: Tensor, memory: Memory, history: History, weights: bool = True) -> Reading:
        assert isinstance(memory, KeysAndValues)
        if not self.stepwise:
            return self._read(query, memory, history, weights)
        readings = []
        for step in query.split(1, dim=1):
            readings.append(self._read(step, memory, history, True))
            history = readings[-1].history
        heads = [reading.heads for reading in readings if reading.heads is not None]
        return Reading(
            torch.cat([reading.context for reading in readings], 1),
            torch.cat([reading.weights for reading in readings if reading.weights is not None], 1),
            history,
            torch.cat(heads, 2) if heads else None,
        )

    def _read(self, query: Tensor, memory: KeysAndValues, history: History, weights: bool) -> Reading:
        reading, score = self.read(query, memory, under("window", history), under("score", history), weights)
        joined = {f"window/{name}": value for name, value in reading.history.items()}
        joined |= {f"score/{name}": value for name, value in score.items()}
        return Reading(reading.context, reading.weights, joined, reading.heads)


def under(prefix: str, history: History) -> History:
    """Return the part of a history under a prefix, as in `window/position`, without the prefix."""
    return {name.removeprefix(f"{prefix}/"): v for name, v in history.items() if name.startswith(f"{prefix}/")}


class SoftAttention(Lookup):
    """context_t = Σ_s normalize(score(query_t, key_s)) · annotation_s: one lookup, with no projection outside the
    score.

    Bahdanau et al. 2014, eqs. 5 and 6; Luong et al. 2015, eq. 7; with a window, their eq. 10. The values are the
    annotations, 2n wide with a bidirectional encoder.
    """

    def __init__(
        self,
        widths: Widths,
        score: Callable[[int, int], Score],
        normalizer: Normalizer,
        window: Callable[[int], Window],
    ) -> None:
        super().__init__()
        self.width = widths.annotation
        self.score = score(widths.query, widths.annotation)
        self.stepwise = self.score.stepwise
        self.normalizer = normalizer
        self.window = window(widths.query)

    def prepare(self, annotations: Annotations) -> KeysAndValues:
        packing = None if torch.is_grad_enabled() else Packing.of(annotations.mask)
        if packing is None:
            keys = self.score.prepare(annotations.states)
        else:
            keys = packing.pad(self.score.prepare(packing.pack(annotations.states)))
        return KeysAndValues(keys, annotations.states, self.score.reached(annotations.mask))

    def read(
        self, query: Tensor, memory: KeysAndValues, window: History, score: History, weights: bool
    ) -> tuple[Reading, History]:
        view = self.window(query, memory.mask, window)
        if not weights and view.factor is None:
            split = (each.unsqueeze(1) for each in (query, memory.keys, memory.values, view.mask))
            fused = fused_context([self.score], self.normalizer, *split)
            if fused is not None:
                return Reading(fused.squeeze(1), None, view.history), score
        context, found, score = attend(self.score, self.normalizer, query, memory, view, score)
        return Reading(context, found, view.history), self.score.update(score, found)
