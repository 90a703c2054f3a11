"""Mix with multi-head self-attention, around any score and normalizer."""

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from softlookup.contract import History, Normalizer, Packing, Score, SequenceMixer
from softlookup.errors import UserError
from softlookup.fused.context import context as fused_context
from softlookup.ranges import Size

_PAST = "keys and values"


class SelfAttention(SequenceMixer):
    """Concat(head_1, …, head_H) Wᴼ, head_i = normalize(score(Q, K)) V of one stream: Q, K, V = x W^Q, x W^K, x W^V.

    Vaswani et al. 2017, section 3.2.2; no biases, as there. Every head has its own parameters, including those of its
    score. The past holds keys and values in one tensor (B, t, 2, H, D/H), so that one copy extends it and one index
    reorders it.

    Raises UserError when `heads` does not divide `width`, and for a score that depends on the weights of earlier steps,
    since all steps of a stream are mixed at once.
    """

    def __init__(self, width: int, score: Callable[[int, int], Score], normalizer: Normalizer, heads: Size) -> None:
        super().__init__()
        if width % heads:
            fitting = [h for h in range(1, width + 1) if width % h == 0]
            raise UserError(
                f"mixer.heads={heads} does not divide {width}, the width of the stream; these do: "
                f"{', '.join(map(str, fitting))}"
            )
        each = width // heads
        self.heads = heads
        self.projections = nn.Linear(width, 3 * width, bias=False)
        self.merge = nn.Linear(width, width, bias=False)
        # Xavier initialization of each matrix by itself: as one wide matrix, all would get a smaller variance.
        for matrix in self.projections.weight.chunk(3):
            nn.init.xavier_uniform_(matrix)
        nn.init.xavier_uniform_(self.merge.weight)
        self.scores = nn.ModuleList(score(each, each) for _ in range(heads))
        if self._score(0).stepwise:
            raise UserError(
                "the score of a mixer cannot use the weights of earlier steps, since all steps are mixed at once; "
                "choose another one, as in mixer=scaled_dot"
            )
        self.normalizer = normalizer
        self.position_dependent = self._score(0).position_dependent
        # Scores without parameters are the same function, so one call computes all heads.
        self.alike = not list(self.scores.parameters())

    def begin(self, stream: Tensor) -> History:
        return {_PAST: stream.new_zeros(len(stream), 0, 2, self.heads, stream.size(-1) // self.heads)}

    def forward(self, stream: Tensor, mask: Tensor, past: History | None) -> tuple[Tensor, History | None]:
        query, keys, values, past = self._split(self.projections(stream), past)
        return self.merge(self._mixed(query, keys, values, mask, past)), past

    def packed(self, stream: Tensor, packing: Packing) -> Tensor:
        query, keys, values, _ = self._split(packing.pad(self.projections(stream)), None)
        return self.merge(packing.pack(self._mixed(query, keys, values, packing.mask, None)))

    def weights(self, stream: Tensor, mask: Tensor, past: History | None) -> Tensor:
        query, keys, _, past = self._split(self.projections(stream), past)
        return self._weigh(query, self._prepare(keys), self._visible(query, keys, mask, past))

    def _mixed(self, query: Tensor, keys: Tensor, values: Tensor, mask: Tensor, past: History | None) -> Tensor:
        """Return the contexts of all heads, joined: (B, T, D)."""
        prepared = self._prepare(keys)
        scores = [self._score(h) for h in range(1 if self.alike else self.heads)]
        causal = self._causal(query, keys, past)
        visible = None if causal else self._visible(query, keys, mask, past)
        mixed = fused_context(scores, self.normalizer, query, prepared, values, visible, causal=causal)
        if mixed is None:
            mixed = self._weigh(query, prepared, self._visible(query, keys, mask, past)) @ values
        return mixed.transpose(1, 2).flatten(-2)

    def _split(self, projected: Tensor, past: History | None) -> tuple[Tensor, Tensor, Tensor, History | None]:
        """projected (B, T, 3D) → query (B, H, T, D/H), keys and values (B, H, S, D/H), and the next past."""
        projected = projected.unflatten(-1, (3, self.heads, -1))
        if past is None:
            query, keys, values = projected.unbind(2)
        else:
            known = torch.cat([past[_PAST], projected[:, :, 1:]], 1) if past[_PAST].size(1) else projected[:, :, 1:]
            past = {_PAST: known}
            query, (keys, values) = projected[:, :, 0], known.unbind(2)
        query, keys, values = (each.transpose(1, 2) for each in (query, keys, values))
        return query, keys, values, past

    def _causal(self, query: Tensor, keys: Tensor, past: History | None) -> bool:
        """Return whether each query reads all positions up to its own, and there are none before the first."""
        steps, reach = query.size(2), self._score(0).reach
        return past is not None and steps == keys.size(2) and (reach is None or steps <= reach)

    def _visible(self, query: Tensor, keys: Tensor, mask: Tensor, past: History | None) -> Tensor | None:
        """Return the mask of the positions visible to each query, broadcastable to (B, H, T, S); None if all are."""
        if past is None:
            return self._score(0).reached(mask)[:, None, None, :]
        steps, known = query.size(2), keys.size(2)
        reach = self._score(0).reach
        if steps == 1 and (reach is None or known <= reach):
            return None  # a single step sees every position
        visible = torch.ones(steps, known, dtype=torch.bool, device=query.device).tril(known - steps)
        return self._score(0).reached(visible)

    def _prepare(self, keys: Tensor) -> Tensor:
        """keys (B, H, S, D/H) → (B, H, S, ·), each head with its own score"""
        if self.alike:
            return self._score(0).prepare(keys)
        return torch.stack([self._score(h).prepare(keys[:, h]) for h in range(self.heads)], 1)

    def _weigh(self, query: Tensor, prepared: Tensor, visible: Tensor | None) -> Tensor:
        """Return the weights (B, H, T, S) of every head."""
        if self.alike:
            scores, _ = self._score(0)(query, prepared, {})
        else:
            scores = torch.stack([self._score(h)(query[:, h], prepared[:, h], {})[0] for h in range(self.heads)], 1)
        if visible is None:
            visible = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device)
        return self.normalizer(scores, visible)

    def _score(self, head: int) -> Score:
        return cast(Score, self.scores[head])
