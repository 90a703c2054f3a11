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

DRAWN = 12  # sentences in one figure


@dataclass(frozen=True)
class Request:
    """Hold the checked arguments of the command line."""

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
    """Execute one call of the command. Raises UserError for invalid arguments and for input that cannot be used, when
    it is reached: the output written before consists of complete lines, in order. A line that cannot be used is
    reported and left empty; `refused` counts them."""

    def __init__(self, request: Request, out: BinaryIO) -> None:
        self.request = request
        self.out = out
        trained = load(find(request.run, request.runs_dir))
        self.forward = self._translator(trained)
        self.backward: Translator | None = None
        if request.alignment or request.target or request.weights:
            self.forward.require_weights("write")
        if request.plot:
            self.forward.require_weights("draw")
        if request.replace_unknown:
            self.forward.require_weights("take a word from")
            self.forward.require_unknown()
        if request.reverse:
            backward = load(find(request.reverse, request.runs_dir, "reverse"))
            _require_reverse(trained, backward)
            self.backward = self._translator(backward)
            self.backward.require_weights("write")
        self.lookups: list[tuple[str, Lookup]] = []
        self.file: weights_file.File | None = None
        self.count = self.refused = 0

    def _translator(self, trained: Trained) -> Translator:
        device = device_of(self.request.device)
        search = search_of(trained.config, self.request.search)
        search.check(trained.model)
        return Translator(trained, search, device)

    def run(self, stream: BinaryIO, interactive: bool = False) -> None:
        """Read all lines, or the given `text`, and write as many; then draw."""
        text, size = self.request.text, 1 if interactive else self.request.batch
        name = "standard input" if text is None else "text"
        if text is not None:  # invalid UTF-8 on the command line is reported like that of a file
            stream = io.BytesIO(text.encode("utf-8", "surrogateescape"))
        with ExitStack() as opened:
            if self.request.weights:
                self.file = opened.enter_context(weights_file.written(self.request.weights))
            read = self._usable(lines(stream, name), name, self.forward.source)
            if self.request.target:
                self._align(read, name, self.request.target, size)
            else:
                self._translate(read, size)
        if self.file:
            print(f"weights of {self.file.count} lines: {self.request.weights}", file=sys.stderr)
        if self.request.plot:
            self._draw(self.request.plot)

    def _usable(
        self, read: Iterator[str | LineError], name: str, *vocabularies: Vocabulary
    ) -> Iterator[str | LineError]:
        """Yield the lines. Report each unusable line at once and, at the end, how many lines are mostly unknown."""
        unknown, number = [], 0
        for number, line in enumerate(read, start=1):
            ids = [] if isinstance(line, LineError) else [vocabulary.read(line) for vocabulary in vocabularies]
            most = max(map(len, ids), default=0)
            too_long = f"{name}, line {number}: {most:,} tokens, at most {LONGEST:,} are possible; split it"
            usable = LineError(too_long) if most > LONGEST else line
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
        align = any((self.request.alignment, self.request.plot, self.request.weights))
        while batch := list(islice(read, size)):
            texts = ["" if isinstance(line, LineError) else line for line in batch]
            found = self.forward.translate(texts, align, self.request.weights is not None, self.request.replace_unknown)
            for number, (line, translations) in enumerate(zip(batch, found, strict=True), start=self.count + 1):
                if isinstance(line, LineError):
                    columns = [str(number), "", ""] if self.request.n_best > 1 else [""]
                    self._line("\t".join([*columns, ""] if self.request.alignment else columns))
                else:
                    self._write(number, translations)
            self.count += len(batch)
            self.out.flush()

    def _write(self, number: int, translations: list[Translation]) -> None:
        """Write a line per translation; with n_best > 1, preceded by the number of its source line and its score."""
        for rank, one in enumerate((translations or [Translation("", 0.0, 0.0)])[: self.request.n_best]):
            columns = [f"{number}", f"{one.score:.4f}"] if self.request.n_best > 1 else []
            columns.append(one.text)
            if self.request.alignment:
                columns.append(pharaoh.written(one.links or ()))
            self._line("\t".join(columns))
            if rank == 0 and one.lookup:
                self._keep(number, one.lookup)

    def _align(self, read: Iterator[str | LineError], name: str, path: Path, size: int) -> None:
        gold = pharaoh.read(self.request.gold) if self.request.gold else None
        links: list[Links | None] = []
        try:
            with path.open("rb") as file:
                sides = [self.forward.target, *([self.backward.source] if self.backward else [])]
                pairs = _pairs(read, name, self._usable(lines(file, str(path)), str(path), *sides), str(path))
                while batch := list(islice(pairs, size)):
                    links += self._aligned(batch, gold)
                    self.count += len(batch)
                    self.out.flush()
        except OSError as error:
            if error.filename is None:
                raise
            raise UserError(f"target={path} cannot be read ({error.strerror})") from error
        if gold is not None:
            self._print_error_rate(links, gold)

    def _aligned(self, pairs: list[tuple[str, str] | None], gold: list[Gold] | None) -> list[Links | None]:
        """Return the links of each pair; None for a pair with a line that cannot be used."""
        texts = [pair or ("", "") for pair in pairs]
        found = self.forward.align(texts, self.request.weights is not None)
        aligned = [one.links or frozenset() for one in found]
        if self.backward:
            others = self.backward.align([(target, source) for source, target in texts])
            symmetrize = SYMMETRIZATIONS[self.request.symmetrize]
            aligned = [symmetrize(one, turned(other.links or ())) for one, other in zip(aligned, others, strict=True)]
        for number, (pair, one, links) in enumerate(zip(pairs, found, aligned, strict=True), start=self.count + 1):
            known = gold[number - 1] if pair and gold and number <= len(gold) else None
            if known and pair:
                counts = [len(word_alignment.split(side)) for side in pair]
                pharaoh.check(known, counts[0], counts[1], f"{self.request.gold}, line {number}")
            self._line(pharaoh.written(links))
            if one.lookup:
                self._keep(number, self._outlined(pair, one.lookup, known) if pair and known else one.lookup)
        return [links if pair else None for pair, links in zip(pairs, aligned, strict=True)]

    def _outlined(self, pair: tuple[str, str], lookup: Lookup, gold: Gold) -> Lookup:
        """Return the lookup with the cells of sure links outlined."""
        sides = zip((self.forward.source, self.forward.target), pair, strict=True)
        source, target = (word_alignment.of_read(vocabulary, line) for vocabulary, line in sides)
        marked = np.zeros(lookup.weights.shape, dtype=bool)
        marked[: len(target), : len(source)] = [[(i, j) in gold.sure for i in source] for j in target]
        return replace(lookup, gold=marked)

    def _print_error_rate(self, aligned: list[Links | None], gold: list[Gold]) -> None:
        if len(aligned) != len(gold):
            raise UserError(
                f"{self.request.gold} has the links of {len(gold)} pairs, and {len(aligned)} pairs were given"
            )
        judged = [(links, known) for links, known in zip(aligned, gold, strict=True) if links is not None]
        links, known = [links for links, _ in judged], [known for _, known in judged]
        error = aer(links, known)
        rate = "absent: neither a link nor gold" if error is None else f"{100 * error:.2f} %"
        count = f"{len(judged):,} pairs, {sum(map(len, links)):,} links, {sum(len(g.sure) for g in known):,} sure"
        left = f"; without {len(aligned) - len(judged)} that could not be used" if len(aligned) > len(judged) else ""
        print(f"AER {rate} against {self.request.gold} ({count}{left})", file=sys.stderr)

    def _line(self, text: str) -> None:
        self.out.write(text.encode() + b"\n")

    def _keep(self, number: int, lookup: Lookup) -> None:
        if self.file:
            self.file.add(number, lookup)
        if self.request.plot and len(self.lookups) < DRAWN:
            self.lookups.append((f"line {number}", lookup))

    def _draw(self, path: Path) -> None:
        if not self.lookups:
            raise UserError(f"plot={path}: nothing to draw, since no line has words")
        if path.suffix == ".html":
            atomic_files.write(path, html.render(self.lookups).encode())
        else:
            drawn = io.BytesIO()
            note = png.draw_several(self.lookups, drawn)
            atomic_files.write(path, drawn.getvalue())
            if note:
                print(f"warning: {note}; or give plot=FILE.html", file=sys.stderr)
        more = f" (the first {DRAWN} sentences)" if self.count > len(self.lookups) == DRAWN else ""
        print(f"drawn: {path}{more}", file=sys.stderr)


def _pairs(
    source: Iterator[str | LineError], name: str, target: Iterator[str | LineError], path: str
) -> Iterator[tuple[str, str] | None]:
    """Yield each line with its translation; None if one of them cannot be used."""
    for number, (one, other) in enumerate(zip_longest(source, target), start=1):
        if one is None or other is None:
            shorter, longer = (name, path) if one is None else (path, name)
            raise UserError(f"{shorter} ends after line {number - 1}, and {longer} is longer; give one line for each")
        yield None if isinstance(one, LineError) or isinstance(other, LineError) else (one, other)


def _require_reverse(forward: Trained, backward: Trained) -> None:
    """Raise UserError if both runs have languages, and one is not the reverse of the other."""
    ways = [tuple(run.config.parts["task"].get(side) for side in ("source", "target")) for run in (forward, backward)]
    if None not in (*ways[0], *ways[1]) and ways[0] != ways[1][::-1]:
        there, back = (f"{way[0]} to {way[1]}" for way in ways)
        raise UserError(f"reverse={backward.path} translates {back}, not the reverse of {forward.path}, {there}")
