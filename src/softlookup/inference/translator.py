"""Translate lines with a trained model, or align them with given translations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from softlookup.contract import Batch, Example
from softlookup.data.collate import collate, packed
from softlookup.errors import UserError
from softlookup.evaluation.metrics import links as hard_links
from softlookup.inference.trained_run import Trained
from softlookup.inference.weights_file import of_heads
from softlookup.search.search import Hypothesis, Search
from softlookup.text import word_alignment
from softlookup.text.pharaoh import Links
from softlookup.text.vocabulary import EOS, UNK, SubwordVocabulary, Vocabulary

LONGEST = 2_000  # tokens of a line: the memory for self-attention and weights grows with their square


@dataclass(frozen=True)
class Lookup:
    """Hold weights (T, S) to draw, T and S with EOS, the tokens of both sides and gold (T, S) to outline; and the
    weights of each head (H, T, S) if requested and there are heads."""

    weights: np.ndarray
    gold: np.ndarray
    source: list[str]
    target: list[str]
    heads: np.ndarray | None = None


@dataclass(frozen=True)
class Translation:
    """Hold one translation of a line, and its scores.

    `score` is what the search ranks by, `log_probability` is log p(target | source) in nats. `links` are Luong's hard
    links, from words of the source line to words of `text`; None if there are no weights.
    """

    text: str
    score: float
    log_probability: float
    links: Links | None = None
    lookup: Lookup | None = None


class Translator:
    """Translate and align with a trained model and a search. The result of a call depends on its arguments only."""

    def __init__(self, trained: Trained, search: Search, device: torch.device) -> None:
        self.trained = trained
        self.search = search
        self.device = device
        self.model = trained.model.to(device).eval()

    @property
    def source(self) -> Vocabulary:
        return self.trained.source

    @property
    def target(self) -> Vocabulary:
        return self.trained.target

    def require_weights(self, what: str) -> None:
        """Raise UserError if the model has no weights over the source to `what` (write, draw)."""
        self.trained.require_weights(f"run={self.trained.path}", f"there is no alignment to {what}")

    def require_unknown(self) -> None:
        """Raise UserError if the target vocabulary has no unknown words to replace."""
        if isinstance(self.target, SubwordVocabulary):
            raise UserError(
                f"replace_unknown=true: run={self.trained.path} writes subwords, so no word is unknown; leave it out"
            )

    @torch.no_grad()
    def translate(
        self, lines: Sequence[str], align: bool = False, heads: bool = False, copy: bool = False
    ) -> list[list[Translation]]:
        """Return the translations of each line, best first; none for a line without tokens.

        With `heads` the lookup of the best translation has the weights of each head. With `copy` an unknown word is
        replaced by the source word with the highest weight. Memory grows with the square of a line's tokens: callers
        should limit them to `LONGEST`.
        """
        sources = [self.source.read(line) for line in lines]
        found: list[list[Translation]] = [[] for _ in lines]
        nonempty = [place for place, ids in enumerate(sources) if ids]
        for rows in packed([(len(sources[place]), 0) for place in nonempty], len(nonempty)):
            places = [nonempty[row] for row in rows]
            batch = self._batch([(sources[place], ()) for place in places])
            searched = self.search(self.model, batch.source, batch.source_mask, align or copy)
            best = [
                (sources[place], _without_eos(ranked[0].ids)) for place, ranked in zip(places, searched, strict=True)
            ]
            by_head = self._by_head(best) if heads else [None] * len(places)
            for place, hypotheses, heads_of_best in zip(places, searched, by_head, strict=True):
                found[place] = [
                    self._translation(
                        lines[place], sources[place], one, heads_of_best if rank == 0 else None, align, copy
                    )
                    for rank, one in enumerate(hypotheses)
                ]
        return found

    @torch.no_grad()
    def align(self, pairs: Sequence[tuple[str, str]], heads: bool = False) -> list[Translation]:
        """Align each source with its given translation by teacher forcing (Luong 2015, section 5.4): log probability,
        links and weights. A pair with a side without tokens has probability one and no links."""
        read = [(self.source.read(source), self.target.read(target)) for source, target in pairs]
        found = [Translation(target, 0.0, 0.0, frozenset()) for _, target in pairs]
        nonempty = [place for place, sides in enumerate(read) if all(sides)]
        for rows in packed([(len(read[place][0]), len(read[place][1])) for place in nonempty], len(nonempty)):
            places = [nonempty[row] for row in rows]
            batch = self._batch([read[place] for place in places])
            decoded = self.model.teach(batch, weights=True)
            weights = decoded.weights
            sums = self._log_probabilities(self.model.output(decoded.readout[batch.target_mask]), batch)
            by_head = self._by_head([read[place] for place in places]) if heads else [None] * len(places)
            for row, place in enumerate(places):
                source, target = read[place]
                matrix = None if weights is None else weights[row, : len(target) + 1, : len(source) + 1].cpu().numpy()
                line, text = pairs[place]
                cut, ids = word_alignment.of_read(self.target, text), [*target, EOS]
                found[place] = self._aligned(line, text, source, ids, cut, sums[row], sums[row], matrix, by_head[row])
        return found

    def _by_head(self, pairs: Sequence[tuple[tuple[int, ...], tuple[int, ...]]]) -> Sequence[np.ndarray | None]:
        found = of_heads(self.model, pairs)
        return [None] * len(pairs) if found is None else found

    def _log_probabilities(self, logits: Tensor, batch: Batch) -> list[float]:
        """Return log p of each target, EOS included; logits (N, V) of unpadded positions."""
        log_probabilities = -torch.nn.functional.cross_entropy(
            logits, batch.target[batch.target_mask], reduction="none"
        ).double()
        sums = torch.zeros(batch.target_mask.shape, dtype=torch.float64, device=log_probabilities.device)
        sums[batch.target_mask] = log_probabilities
        return sums.sum(1).tolist()

    def _translation(
        self, line: str, source: tuple[int, ...], found: Hypothesis, heads: np.ndarray | None, align: bool, copy: bool
    ) -> Translation:
        written = _without_eos(found.ids)
        text = self.target.write(written)
        if copy and UNK in written:
            text = self._copied(line, source, written, found.weights)
        if not align:
            return Translation(_one_line(text), found.score, found.log_probability)
        cut = word_alignment.of_written(self.target, written)
        heads = None if heads is None else heads[:, : len(found.ids)]
        return self._aligned(
            line, _one_line(text), source, found.ids, cut, found.score, found.log_probability, found.weights, heads
        )

    def _copied(self, line: str, source: tuple[int, ...], written: Sequence[int], weights: np.ndarray | None) -> str:
        """Return the translation with each unknown word replaced by the source word of its hard link."""
        assert weights is not None
        linked = {t: s for s, t in hard_links.hard(weights[: len(written), : len(source)])}
        words = self.source.spelled(line).split(" ")
        return " ".join(
            words[linked[t]] if index == UNK and t in linked else self.target.write([index])
            for t, index in enumerate(written)
        )

    def _aligned(
        self, line: str, text: str, source: tuple[int, ...], ids: Sequence[int], cut: tuple[int, ...], score: float,
        log_probability: float, weights: np.ndarray | None, heads: np.ndarray | None,
    ) -> Translation:  # fmt: skip
        if weights is None:
            return Translation(text, score, log_probability)
        tokens = hard_links.hard(weights[: len(cut), : len(source)])
        links = hard_links.lifted(tokens, word_alignment.of_read(self.source, line), cut)
        labels = [self.source.tokens[i] for i in (*source, EOS)], [self.target.tokens[i] for i in ids]
        lookup = Lookup(weights, np.zeros(weights.shape, dtype=bool), *labels, heads)
        return Translation(text, score, log_probability, links, lookup)

    def _batch(self, pairs: Sequence[tuple[tuple[int, ...], tuple[int, ...]]]) -> Batch:
        return collate([Example(source, target) for source, target in pairs]).to(self.device)


def _without_eos(ids: Sequence[int]) -> tuple[int, ...]:
    return tuple(ids[:-1] if ids[-1:] == [EOS] else ids)


def _one_line(text: str) -> str:
    """Replace characters that would break a line or a column by blanks."""
    return text.translate({ord(mark): " " for mark in "\t\n\r\v\f\0"})
