"""Implement src/translate.py: lines in, translations or alignments out, in the order of the lines."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import islice, zip_longest
from pathlib import Path
from typing import BinaryIO

import numpy as np

from softlookup.config.build import device_of
from softlookup.errors import UserError
from softlookup.evaluation.metrics.links import SYMMETRIZATIONS, aer, turned
from softlookup.heatmaps import html, png
from softlookup.inference import weights_file
from softlookup.inference.search_overrides import search_of
from softlookup.inference.trained_run import Trained, load
from softlookup.inference.translator import LONGEST, Lookup, Translation, Translator
from softlookup.runs.finished_run import find
from softlookup.system import atomic_files
from softlookup.text import pharaoh, word_alignment
from softlookup.text.pharaoh import Gold, Links
from softlookup.text.utf8_lines import LineError, lines
from softlookup.text.vocabulary import UNK, Vocabulary

DRAWN = 12  # sentences in one picture


@dataclass(frozen=True)
class Asked:
    """Hold what the command line asks for, checked against itself."""

    run: str
    runs_dir: Path = Path("runs")
    text: str | None = None
    alignment: bool = False
    plot: Path | None = None
    n_best: int = 1
    target: Path | None = None
    reverse: str | None = None
    symmetrize: str = "grow_diag_final_and"
    gold: Path | None = None
    weights: Path | None = None
    replace_unknown: bool = False
    batch: int = 64
    device: str = "auto"
    search: dict[str, str] = field(default_factory=dict)


class Command:
    """One call of the verb. Raises UserError for what is asked, found or read amiss, when it comes to it: what was
    written before is whole lines, right and in order. A line that cannot be used is told and left empty; `refused`
    counts them."""

    def __init__(self, asked: Asked, out: BinaryIO) -> None:
        self.asked = asked
        self.out = out
        trained = load(find(asked.run, asked.runs_dir))
        self.forward = self._translator(trained)
        self.backward: Translator | None = None
        if asked.alignment or asked.target or asked.weights:
            self.forward.require_weights("write")
        if asked.plot:
            self.forward.require_weights("draw")
        if asked.replace_unknown:
            self.forward.require_weights("take a word from")
            self.forward.refuse_known()
        if asked.reverse:
            backward = load(find(asked.reverse, asked.runs_dir, "reverse"))
            _refuse_one_way(trained, backward)
            self.backward = self._translator(backward)
            self.backward.require_weights("write")
        self.lookups: list[tuple[str, Lookup]] = []
        self.file: weights_file.File | None = None
        self.count = self.refused = 0

    def _translator(self, trained: Trained) -> Translator:
        device = device_of(self.asked.device)
        search = search_of(trained.config, self.asked.search)
        search.check(trained.model)
        return Translator(trained, search, device)

    def run(self, stream: BinaryIO, interactive: bool = False) -> None:
        """Read all lines, or the one that was given, and write as many; then draw."""
        text, size = self.asked.text, 1 if interactive else self.asked.batch
        name = "standard input" if text is None else "text"
        if text is not None:  # bytes of the command line that are no UTF-8 are told as those of a file
            stream = io.BytesIO(text.encode("utf-8", "surrogateescape"))
        with ExitStack() as opened:
            if self.asked.weights:
                self.file = opened.enter_context(weights_file.written(self.asked.weights))
            read = self._usable(lines(stream, name), name, self.forward.source)
            if self.asked.target:
                self._align(read, name, self.asked.target, size)
            else:
                self._translate(read, size)
        if self.file:
            print(f"weights of {self.file.count} lines: {self.asked.weights}", file=sys.stderr)
        if self.asked.plot:
            self._draw(self.asked.plot)

    def _usable(
        self, read: Iterator[str | LineError], name: str, *vocabularies: Vocabulary
    ) -> Iterator[str | LineError]:
        """Yield the lines. What is wrong with one is told at once, and at their end how many are mostly unknown."""
        unknown, number = [], 0
        for number, line in enumerate(read, start=1):
            ids = [] if isinstance(line, LineError) else [vocabulary.read(line) for vocabulary in vocabularies]
            most = max(map(len, ids), default=0)
            told = f"{name}, line {number}: {most:,} tokens, and {LONGEST:,} are the most; split it"
            usable = LineError(told) if most > LONGEST else line
            if isinstance(usable, LineError):
                print(f"error: {usable}; left empty", file=sys.stderr, flush=True)
                self.refused += 1
            elif 2 * ids[0].count(UNK) > len(ids[0]):
                unknown.append(f"line {number}: {ids[0].count(UNK)} of {len(ids[0])}")
            yield usable
        if unknown:
            count = f"{name}: {len(unknown)} of {number} lines are mostly unknown words"
            print(f"warning: {count} ({unknown[0]}); is this what the run was trained on?", file=sys.stderr)

    def _translate(self, read: Iterator[str | LineError], size: int) -> None:
        align = any((self.asked.alignment, self.asked.plot, self.asked.weights))
        while batch := list(islice(read, size)):
            texts = ["" if isinstance(line, LineError) else line for line in batch]
            found = self.forward.translate(texts, align, self.asked.weights is not None, self.asked.replace_unknown)
            for number, (line, translations) in enumerate(zip(batch, found, strict=True), start=self.count + 1):
                if isinstance(line, LineError):
                    columns = [str(number), "", ""] if self.asked.n_best > 1 else [""]
                    self._line("\t".join([*columns, ""] if self.asked.alignment else columns))
                else:
                    self._write(number, translations)
            self.count += len(batch)
            self.out.flush()

    def _write(self, number: int, translations: list[Translation]) -> None:
        """A line for each translation; of several, with the number of its source line and its score before it."""
        for rank, one in enumerate((translations or [Translation("", 0.0, 0.0)])[: self.asked.n_best]):
            columns = [f"{number}", f"{one.score:.4f}"] if self.asked.n_best > 1 else []
            columns.append(one.text)
            if self.asked.alignment:
                columns.append(pharaoh.written(one.links or ()))
            self._line("\t".join(columns))
            if rank == 0 and one.lookup:
                self._keep(number, one.lookup)

    def _align(self, read: Iterator[str | LineError], name: str, path: Path, size: int) -> None:
        gold = pharaoh.read(self.asked.gold) if self.asked.gold else None
        made: list[Links | None] = []
        try:
            with path.open("rb") as file:
                sides = [self.forward.target, *([self.backward.source] if self.backward else [])]
                pairs = _pairs(read, name, self._usable(lines(file, str(path)), str(path), *sides), str(path))
                while batch := list(islice(pairs, size)):
                    made += self._aligned(batch, gold)
                    self.count += len(batch)
                    self.out.flush()
        except OSError as error:
            if error.filename is None:
                raise
            raise UserError(f"target={path} cannot be read ({error.strerror})") from error
        if gold is not None:
            self._tell_error(made, gold)

    def _aligned(self, pairs: list[tuple[str, str] | None], gold: list[Gold] | None) -> list[Links | None]:
        """Return the links of each pair; None of one with a line that cannot be used."""
        texts = [pair or ("", "") for pair in pairs]
        found = self.forward.align(texts, self.asked.weights is not None)
        made = [one.links or frozenset() for one in found]
        if self.backward:
            others = self.backward.align([(target, source) for source, target in texts])
            symmetrize = SYMMETRIZATIONS[self.asked.symmetrize]
            made = [symmetrize(one, turned(other.links or ())) for one, other in zip(made, others, strict=True)]
        for number, (pair, one, links) in enumerate(zip(pairs, found, made, strict=True), start=self.count + 1):
            known = gold[number - 1] if pair and gold and number <= len(gold) else None
            if known and pair:
                counts = [len(word_alignment.split(side)) for side in pair]
                pharaoh.check(known, counts[0], counts[1], f"{self.asked.gold}, line {number}")
            self._line(pharaoh.written(links))
            if one.lookup:
                self._keep(number, self._outlined(pair, one.lookup, known) if pair and known else one.lookup)
        return [links if pair else None for pair, links in zip(pairs, made, strict=True)]

    def _outlined(self, pair: tuple[str, str], lookup: Lookup, gold: Gold) -> Lookup:
        """Return the lookup with the cells of sure links outlined."""
        sides = zip((self.forward.source, self.forward.target), pair, strict=True)
        source, target = (word_alignment.of_read(vocabulary, line) for vocabulary, line in sides)
        marked = np.zeros(lookup.weights.shape, dtype=bool)
        marked[: len(target), : len(source)] = [[(i, j) in gold.sure for i in source] for j in target]
        return replace(lookup, gold=marked)

    def _tell_error(self, made: list[Links | None], gold: list[Gold]) -> None:
        if len(made) != len(gold):
            raise UserError(f"{self.asked.gold} has the links of {len(gold)} pairs, and {len(made)} pairs were given")
        judged = [(links, known) for links, known in zip(made, gold, strict=True) if links is not None]
        links, known = [links for links, _ in judged], [known for _, known in judged]
        error = aer(links, known)
        told = "absent: neither a link nor gold" if error is None else f"{100 * error:.2f} %"
        count = f"{len(judged):,} pairs, {sum(map(len, links)):,} links, {sum(len(g.sure) for g in known):,} sure"
        left = f"; without {len(made) - len(judged)} that could not be used" if len(made) > len(judged) else ""
        print(f"AER {told} against {self.asked.gold} ({count}{left})", file=sys.stderr)

    def _line(self, text: str) -> None:
        self.out.write(text.encode() + b"\n")

    def _keep(self, number: int, lookup: Lookup) -> None:
        if self.file:
            self.file.add(number, lookup)
        if self.asked.plot and len(self.lookups) < DRAWN:
            self.lookups.append((f"line {number}", lookup))

    def _draw(self, path: Path) -> None:
        if not self.lookups:
            raise UserError(f"plot={path}: nothing to draw, since no line has words")
        if path.suffix == ".html":
            atomic_files.write(path, html.render(self.lookups).encode())
        else:
            drawn = io.BytesIO()
            png.draw_several(self.lookups, drawn)
            atomic_files.write(path, drawn.getvalue())
        more = f" (the first {DRAWN} sentences)" if self.count > len(self.lookups) == DRAWN else ""
        print(f"drawn: {path}{more}", file=sys.stderr)


def _pairs(
    source: Iterator[str | LineError], name: str, target: Iterator[str | LineError], path: str
) -> Iterator[tuple[str, str] | None]:
    """Each line with its translation; None where one of them cannot be used."""
    for number, (one, other) in enumerate(zip_longest(source, target), start=1):
        if one is None or other is None:
            shorter, longer = (name, path) if one is None else (path, name)
            raise UserError(f"{shorter} ends after line {number - 1}, and {longer} goes on; one translation a line")
        yield None if isinstance(one, LineError) or isinstance(other, LineError) else (one, other)


def _refuse_one_way(forward: Trained, backward: Trained) -> None:
    """Raise UserError where both runs say what they translate, and one is not the other's reverse."""
    ways = [tuple(run.config.parts["task"].get(side) for side in ("source", "target")) for run in (forward, backward)]
    if None not in (*ways[0], *ways[1]) and ways[0] != ways[1][::-1]:
        told = [f"{way[0]} to {way[1]}" for way in ways]
        raise UserError(f"reverse={backward.path} goes from {told[1]}; {forward.path} goes from {told[0]}, not back")
