"""Attend with several heads, around any score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Self, cast

import torch
from torch import Tensor, nn

from softlookup.attention.soft import Lookup, SoftAttention, attend, under
from softlookup.contract import (
    Annotations,
    Attention,
    History,
    KeysAndValues,
    Normalizer,
    Reading,
    Score,
    Widths,
    Window,
)
from softlookup.errors import UserError
from softlookup.fused.context import context as fused_context
from softlookup.ranges import Range


def attention(
    widths: Widths,
    score: Callable[[int, int], Score],
    normalizer: Normalizer,
    window: Callable[[int], Window],
    heads: Annotated[int | None, Range(1, 65_536)],
) -> Attention:
    """Build the attention of a config: `SoftAttention` without `heads`, else `MultiHead`."""
    if heads is None:
        return SoftAttention(widths, score, normalizer, window)
    return MultiHead(widths, score, normalizer, window, heads)


@dataclass(frozen=True)
class HeadsMemory(KeysAndValues):
    """Hold keys and values of all heads. Selecting rows copies neither: row n then reads row index[n] of both, so that
    the hypotheses of a sentence share them. The mask is that of the selected rows."""

    index: Tensor | None = None

    def rows(self, index: Tensor) -> Self:
        joined = index if self.index is None else self.index.index_select(0, index)
        return replace(self, mask=self.mask.index_select(0, index), index=joined)

    def alone(self) -> KeysAndValues:
        """Return a memory of these rows alone, for kernels that cannot share them."""
        return self if self.index is None else self._copied

    @cached_property
    def _copied(self) -> KeysAndValues:
        assert self.index is not None
        return KeysAndValues(self.keys.index_select(0, self.index), self.values.index_select(0, self.index), self.mask)


class MultiHead(Lookup):
    """MultiHead(Q, K, V) = Concat(head_1, …, head_H) Wᴼ with head_i = lookup(Q Wᵢ^Q, K Wᵢ^K, V Wᵢ^V).

    Vaswani et al. 2017, section 3.2.2, with any score in place of the scaled dot product; every head has its own
    parameters, including those of its score, and its score's own history. Each head, and its context, has width query
    width / H; the whole context has the width of the query. The returned weights are the mean over heads. The heads
    share one window, which receives the query before projection.

    Raises UserError when `heads` is not positive or does not divide the width of the query.
    """

    merges = True

    def __init__(
        self,
        widths: Widths,
        score: Callable[[int, int], Score],
        normalizer: Normalizer,
        window: Callable[[int], Window],
        heads: int,
    ) -> None:
        super().__init__()
        if heads < 1 or widths.query % heads:
            fitting = [h for h in range(1, widths.query + 1) if widths.query % h == 0]
            raise UserError(
                f"attention.heads={heads} does not divide the decoder's width {widths.query}; "
                f"these do: {', '.join(map(str, fitting))}"
            )
        each = widths.query // heads
        self.heads = heads
        self.width = widths.query
        self.query = nn.Linear(widths.query, widths.query, bias=False)
        self.keys = nn.Linear(widths.annotation, widths.query, bias=False)
        self.values = nn.Linear(widths.annotation, widths.query, bias=False)
        self.output = nn.Linear(widths.query, widths.query, bias=False)
        self.scores = nn.ModuleList(score(each, each) for _ in range(heads))
        # Scores without parameters are the same function, so one call computes all heads.
        self.alike = not list(self.scores.parameters())
        self.stepwise = self._of(0).stepwise
        self.normalizer = normalizer
        self.window = window(widths.query)

    def _split(self, joined: Tensor) -> Tensor:
        """(B, T, D) → (B, H, T, D/H)"""
        return joined.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def _score(self, query: Tensor, keys: Tensor, history: History) -> tuple[Tensor, History]:
        """(B, H, T, ·), (B, H, S, ·) → (B, H, T, S), each head with its own score and history."""
        if self.alike:
            return self._of(0)(query, keys, history)
        found = [self._of(h)(query[:, h], keys[:, h], under(str(h), history)) for h in range(self.heads)]
        return torch.stack([scores for scores, _ in found], dim=1), _by_head(
            [next_history for _, next_history in found]
        )

    def _update(self, history: History, weights: Tensor) -> History:
        if self.alike:
            return self._of(0).update(history, weights)
        return _by_head([self._of(h).update(under(str(h), history), weights[:, h]) for h in range(self.heads)])

    def _of(self, head: int) -> Score:
        return cast(Score, self.scores[head])

    def prepare(self, annotations: Annotations) -> KeysAndValues:
        keys = self._split(self.keys(annotations.states))
        prepared = torch.stack([self._of(h).prepare(keys[:, h]) for h in range(self.heads)], dim=1)
        values = self._split(self.values(annotations.states)).contiguous()  # contiguous, or every step would copy them
        return HeadsMemory(prepared, values, self._of(0).reached(annotations.mask))

    def read(
        self, query: Tensor, memory: KeysAndValues, window: History, score: History, weights: bool
    ) -> tuple[Reading, History]:
        assert isinstance(memory, HeadsMemory)
        view = self.window(query, memory.mask, window)
        each, split = view.for_heads(), self._split(self.query(query))
        if not weights and view.factor is None:
            scores = [self._of(h) for h in range(1 if self.alike else self.heads)]
            rows = memory.index
            fused = fused_context(scores, self.normalizer, split, memory.keys, memory.values, each.mask, rows=rows)
            if fused is None and rows is not None:
                copied = memory.alone()
                fused = fused_context(scores, self.normalizer, split, copied.keys, copied.values, each.mask)
            if fused is not None:
                return Reading(self._merge(fused), None, view.history), score
        context, found, score = attend(self._score, self.normalizer, split, memory.alone(), each, score)
        return Reading(self._merge(context), found.mean(1), view.history, found), self._update(score, found)

    def _merge(self, context: Tensor) -> Tensor:
        """(B, H, T, D/H) → (B, T, D), projected"""
        return self.output(context.transpose(1, 2).flatten(-2))


def _by_head(histories: list[History]) -> History:
    """Join the histories of all heads, each name prefixed with the number of its head."""
    return {f"{h}/{name}": value for h, history in enumerate(histories) for name, value in history.items()}
