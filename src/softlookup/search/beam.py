"""Decode with a beam, batched over sentences."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from softlookup.errors import UserError
from softlookup.layers.fixed_weights import fixed_weights
from softlookup.model.seq2seq import Seq2Seq
from softlookup.ranges import Range
from softlookup.search.endings import Endings, Step
from softlookup.search.search import Extra, Hypothesis, Ratio, Search, highest, log_normalizer
from softlookup.text.vocabulary import BOS, EOS

# Coverage assumed for a source position without any weight: keeps the logarithm finite.
UNTOUCHED = 1e-9


@dataclass(frozen=True)
class Rows:
    """N open hypotheses, grouped by sentence, best first: sentence index, last token and log P of each (N,), and
    coverage, the sum of weights per source position so far (N, S), 1 on padding; S is 0 without a coverage penalty."""

    sentence: Tensor
    token: Tensor
    log_probability: Tensor
    coverage: Tensor

    def at(self, which: Tensor) -> "Rows":
        """Select rows by index or mask."""
        return Rows(self.sentence[which], self.token[which], self.log_probability[which], self.coverage[which])


class Beam(Search):
    """Beam search: at every step keep the `size` most probable continuations of a sentence's open hypotheses.

    Hypotheses that end with EOS, or at the length limit, leave the beam; the best `n_best` of them are returned, by

        s(Y, X) = log P(Y | X) / lp(Y) + cp(X, Y)            (Wu et al. 2016, eq. 14)
        lp(Y) = ((5 + |Y|) / 6)^α                            α = `length_penalty`; |Y| counts EOS
        cp(X, Y) = β Σ_i log min(Σ_j p_ij, 1)                β = `coverage_penalty`; p_ij is the weight of y_j on x_i

    The coverage of a position is at least 1e-9. A fixed context has no weights, hence no coverage: it needs β = 0. Open
    hypotheses are compared by log P alone: they have equal length, and can still cover more positions. With `size` 1
    this is greedy search.

    Ended hypotheses leave the batch, and a whole sentence does when no open one can still enter its n best. log P never
    grows and is at most 0, lp never shrinks with |Y| for α ≥ 0, and cp ≤ 0 for β ≥ 0: so no continuation of Y within
    the length limit scores above log P(Y) / lp(limit). Where that bound does not exceed the score of the n_best-th
    ended hypothesis, a continuation could at best tie with it.

    Raises UserError for `n_best` above `size`, and for β > 0 with a model without weights.
    """

    def __init__(
        self,
        size: Annotated[int, Range(1, 1024)],
        length_penalty: Annotated[float, Range(0, 10)],
        coverage_penalty: Annotated[float, Range(0, 10)],
        n_best: Annotated[int, Range(1, 1024)],
        longest_ratio: Ratio,
        longest_extra: Extra,
    ) -> None:
        super().__init__(longest_ratio, longest_extra)
        if n_best > size:
            raise UserError(f"search.n_best={n_best}: a beam of {size} may hold no more; set search.size={n_best}")
        self.size = size
        self.length_penalty = length_penalty
        self.coverage_penalty = coverage_penalty
        self.n_best = n_best

    def check(self, model: Seq2Seq) -> None:
        if self.coverage_penalty:
            one = torch.full((1, 1), EOS, device=model.output.weight.device)
            with torch.no_grad():
                weights = model.step(one, *model.encode(one, one == EOS), weights=True)[1]
            self._require(weights)

    @torch.inference_mode()
    @fixed_weights()
    def __call__(self, model: Seq2Seq, source: Tensor, mask: Tensor, weights: bool = True) -> list[list[Hypothesis]]:
        model.eval()
        encoded, state = model.encode(source, mask)
        memory, limits = encoded, self.limits(mask)
        rows = self._first(mask)
        endings = Endings(len(source), self.n_best, source.device)
        # Weights are kept in one preallocated array: many small arrays among large temporary ones would fragment
        # memory. Pages that are never written take no memory.
        store: np.ndarray | None = None
        while len(rows.sentence):
            logits, read, state = model.step(
                rows.token.unsqueeze(1), memory, state, weights or bool(self.coverage_penalty)
            )
            if self.coverage_penalty:
                rows.coverage.add_(self._require(read).squeeze(1))
            parents, grown = self._grown(rows, logits)
            length = len(endings.steps) + 1
            over = (grown.token == EOS) | (length >= limits[grown.sentence])
            if over.any():
                ended, divisor = grown.at(over), self._divisor(torch.tensor(length))
                score = ended.log_probability / divisor + self._covered(ended.coverage)
                endings.add(ended.sentence, score, ended.log_probability, parents[over], ended.token)
            stays = ~over & self._hopeful(grown, over, limits, endings.worst)
            parents, before, rows = parents[stays], rows.sentence, grown.at(stays)
            kept = None
            if weights and read is not None:
                new = read.squeeze(1).cpu().numpy()
                if store is None:
                    store = np.empty((int(limits.max()), self.size * len(new), new.shape[1]), new.dtype)
                kept = store[length - 1, : len(new)]
                kept[:] = new
            endings.steps.append(Step(kept, parents.tolist(), rows.token.tolist()))
            state = state.rows(parents)
            if not torch.equal(rows.sentence, before):
                memory = encoded.rows(rows.sentence)
        return endings.hypotheses(mask.sum(1).tolist())

    def _require(self, weights: Tensor | None) -> Tensor:
        if weights is None:
            raise UserError(
                f"search.coverage_penalty={self.coverage_penalty}: a fixed context has no weights, hence no coverage; "
                f"set search.coverage_penalty=0"
            )
        return weights

    def _first(self, mask: Tensor) -> Rows:
        """Return one empty hypothesis for every sentence."""
        sentence = torch.arange(len(mask), device=mask.device)
        coverage = (~mask).double() if self.coverage_penalty else torch.zeros(len(mask), 0, device=mask.device)
        return Rows(sentence, torch.full_like(sentence, BOS), torch.zeros_like(sentence, dtype=torch.float64), coverage)

    def _grown(self, rows: Rows, logits: Tensor) -> tuple[Tensor, Rows]:
        """Return the `size` most probable continuations of every sentence, preceded by the row that each one continues.

        Logits (N, V) are overwritten. At most `size` continuations of one row can be among them.
        """
        values, ids = highest(logits, min(self.size, logits.size(1)))
        log_p = (values - log_normalizer(logits, values[:, :1])).double().clamp(max=0.0)
        total = rows.log_probability.unsqueeze(1) + log_p
        _, place, counts = torch.unique_consecutive(rows.sentence, return_inverse=True, return_counts=True)
        first = counts.cumsum(0) - counts
        table = total.new_full((len(counts), int(counts.max()), ids.size(1)), -torch.inf)
        table[place, torch.arange(len(place), device=place.device) - first[place]] = total
        ranked, order = table.flatten(1).sort(dim=-1, descending=True, stable=True)
        ranked, order = ranked[:, : self.size], order[:, : self.size]
        real = ranked > -torch.inf
        parents = (first.unsqueeze(1) + order // ids.size(1))[real]
        token = ids[parents, (order % ids.size(1))[real]]
        return parents, Rows(rows.sentence[parents], token, ranked[real], rows.coverage[parents])

    def _hopeful(self, grown: Rows, over: Tensor, limits: Tensor, worst: Tensor) -> Tensor:
        """Return for each row whether its sentence has an open hypothesis that can still enter its n best."""
        bound = grown.log_probability / self._divisor(limits[grown.sentence])
        may = ~over & (bound > worst[grown.sentence])
        return torch.zeros_like(worst, dtype=torch.bool).index_fill_(0, grown.sentence[may], True)[grown.sentence]

    def _divisor(self, length: Tensor) -> Tensor:
        return ((5.0 + length.double()) / 6.0) ** self.length_penalty

    def _covered(self, coverage: Tensor) -> Tensor:
        return self.coverage_penalty * coverage.clamp(UNTOUCHED, 1.0).log().sum(1)
