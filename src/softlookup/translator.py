"""Lines of text through a trained model: translated by its search, or aligned with a translation that is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from softlookup import lifting
from softlookup.batch import collate
from softlookup.contract import Batch, Example
from softlookup.errors import UserError
from softlookup.metrics import links as hard_links
from softlookup.pharaoh import Links
from softlookup.search.search import Search
from softlookup.trained import Trained
from softlookup.vocabulary import EOS, Vocabulary

LONGEST = 2_000  # tokens of a line: self-attention and weights grow with its square


@dataclass(frozen=True)
class Lookup:
    """Weights (T, S) to draw, EOS among T and S, with the tokens of both sides and gold (T, S) to outline; those of
    each head (H, T, S) where they were asked for and there are heads."""

    weights: np.ndarray
    gold: np.ndarray
    source: list[str]
    target: list[str]
    heads: np.ndarray | None = None


@dataclass(frozen=True)
class Translation:
    """One line in the other language, with what its search thinks of it.

    `score` is what the search ranks by, `log_probability` is log p(target | source) in nats. `links` are Luong's hard
    links, from words of the source line to words of `text`; None where there was no weight to make them from.
    """

    text: str
    score: float
    log_probability: float
    links: Links | None = None
    lookup: Lookup | None = None


class Translator:
    """A trained model and a search. Every call's result depends on its arguments alone."""

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

    @torch.no_grad()
    def aligns(self) -> bool:
        """Whether the model has weights: a fixed context has none."""
        return self.model(self._batch([((), ())]))[1] is not None

    def refuse_fixed(self, what: str) -> None:
        """Raises UserError where there is nothing to `what` (align, draw)."""
        if not self.aligns():
            attention = self.trained.config["choices"]["attention"]
            raise UserError(
                f"run={self.trained.path}: attention={attention} reads one fixed context for every word: there is no "
                f"alignment to {what}; take a run with another attention"
            )

    @torch.no_grad()
    def translate(self, lines: Sequence[str], first: int = 1, align: bool = False) -> list[list[Translation]]:
        """The translations of each line, best first; none of a line without tokens. `first` numbers the first line.

        Raises UserError for a line of more than `LONGEST` tokens.
        """
        sources = self._read(self.source, lines, f"line {{}} has {{}} tokens of {self._language('source')}", first)
        worded = [place for place, ids in enumerate(sources) if ids]
        found: list[list[Translation]] = [[] for _ in lines]
        if worded:
            batch = self._batch([(sources[place], ()) for place in worded])
            searched = self.search(self.model, batch.source, batch.source_mask, align)
            for place, hypotheses in zip(worded, searched, strict=True):
                found[place] = [
                    self._translation(lines[place], sources[place], h.ids, h.score, h.log_probability, h.weights, align)
                    for h in hypotheses
                ]
        return found

    @torch.no_grad()
    def align(self, pairs: Sequence[tuple[str, str]], first: int = 1) -> list[Translation]:
        """Each given translation as if the model had written it (Luong 2015, section 5.4): its log probability under
        teacher forcing, links and weights. A pair with a side without tokens has probability one and no links.

        Raises UserError for a line of more than `LONGEST` tokens.
        """
        sides = [
            self._read(vocabulary, [pair[side] for pair in pairs], f"{name} line {{}} has {{}} tokens", first)
            for side, (vocabulary, name) in enumerate(((self.source, "source"), (self.target, "target")))
        ]
        read = list(zip(*sides, strict=True))
        worded = [place for place, (source, target) in enumerate(read) if source and target]
        found = [Translation(target, 0.0, 0.0, frozenset()) for _, target in pairs]
        if not worded:
            return found
        batch = self._batch([read[place] for place in worded])
        logits, weights = self.model(batch)
        sums = self._log_probabilities(logits, batch)
        for row, place in enumerate(worded):
            source, target = read[place]
            own = None if weights is None else weights[row, : len(target) + 1, : len(source) + 1].cpu().numpy()
            line, text = pairs[place]
            cut = lifting.of_read(self.target, text)
            found[place] = self._aligned(line, text, source, [*target, EOS], cut, sums[row], sums[row], own)
        return found

    def _log_probabilities(self, logits: Tensor, batch: Batch) -> list[float]:
        """log p of each target, EOS among it; logits (N, V) of unpadded positions."""
        told = -torch.nn.functional.cross_entropy(logits, batch.target[batch.target_mask], reduction="none").double()
        sums = torch.zeros(batch.target_mask.shape, dtype=torch.float64, device=told.device)
        sums[batch.target_mask] = told
        return sums.sum(1).tolist()

    def _translation(
        self, line: str, source: tuple[int, ...], ids: list[int], score: float, log_probability: float,
        weights: np.ndarray | None, align: bool,
    ) -> Translation:  # fmt: skip
        written = ids[:-1] if ids[-1:] == [EOS] else ids
        text = _one_line(self.target.write(written))
        if not align:
            return Translation(text, score, log_probability)
        cut = lifting.of_written(self.target, written)
        return self._aligned(line, text, source, ids, cut, score, log_probability, weights)

    def _aligned(
        self, line: str, text: str, source: tuple[int, ...], ids: list[int], cut: tuple[int, ...], score: float,
        log_probability: float, weights: np.ndarray | None,
    ) -> Translation:  # fmt: skip
        if weights is None:
            return Translation(text, score, log_probability)
        tokens = hard_links.hard(weights[: len(cut), : len(source)])
        links = hard_links.lifted(tokens, lifting.of_read(self.source, line), cut)
        labels = [[vocabulary.tokens[i] for i in row] for vocabulary, row in self._sides((*source, EOS), ids)]
        lookup = Lookup(weights, np.zeros(weights.shape, dtype=bool), labels[0], labels[1])
        return Translation(text, score, log_probability, links, lookup)

    def _sides(self, source: Sequence[int], target: Sequence[int]) -> list[tuple[Vocabulary, Sequence[int]]]:
        return [(self.source, source), (self.target, target)]

    def _read(self, vocabulary: Vocabulary, lines: Sequence[str], what: str, first: int) -> list[tuple[int, ...]]:
        rows = [vocabulary.read(line) for line in lines]
        for number, row in enumerate(rows, start=first):
            if len(row) > LONGEST:
                raise UserError(f"{what.format(number, f'{len(row):,}')}, and {LONGEST:,} are the most; split it")
        return rows

    def _language(self, side: str) -> str:
        return str(self.trained.config["task"].get(side, f"the {side}"))

    def _batch(self, pairs: Sequence[tuple[tuple[int, ...], tuple[int, ...]]]) -> Batch:
        return collate([Example(source, target) for source, target in pairs]).to(self.device)


def _one_line(text: str) -> str:
    """Pieces may spell what would break a line or a column; it becomes a blank."""
    return text.translate({ord(mark): " " for mark in "\t\n\r\v\f\0"})
