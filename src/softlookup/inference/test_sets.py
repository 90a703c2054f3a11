"""Read test sets for a finished run: files, a split of a folder, synthetic sources of given lengths."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from softlookup.config.build import build
from softlookup.contract import Exam, Example
from softlookup.errors import UserError, quote
from softlookup.inference.trained_run import Trained
from softlookup.task.folder import NAME, read_split
from softlookup.task.hub import DATASET, read_hub
from softlookup.task.judged import exam_set
from softlookup.task.lines import aligned, read_lines
from softlookup.task.reading import LINKS, digest_of
from softlookup.task.split import STEMS, Split, examined
from softlookup.task.synthetic import Synthetic
from softlookup.text.languages import Splitting, splitting, unit
from softlookup.text.vocabulary import Vocabulary

PER_LENGTH = 64  # number of test examples per length


class Material(Protocol):
    """Provide a test set before it is encoded for a model: `kind` and `description` identify it, `digests` hash its
    content."""

    @property
    def kind(self) -> str: ...
    @property
    def description(self) -> dict[str, Any]: ...
    @property
    def digests(self) -> dict[str, str]: ...

    def exam(self, trained: Trained) -> Exam:
        """Return the test set with the ids of a run's vocabularies. Raises UserError if these do not fit."""


@dataclass(frozen=True, kw_only=True)
class Given(Exam):
    """Provide a given list of examples as a test set, with the attributes for reporting."""

    source_vocabulary: Vocabulary
    target_vocabulary: Vocabulary
    lengths: tuple[int, int]
    buckets: tuple[tuple[int, int], ...]
    length_unit: str
    splitting: Splitting
    examples: list[Example]

    def test(self) -> list[Example]:
        return list(self.examples)


@dataclass(frozen=True)
class Text:
    """Hold sentence pairs, additional references, and links from files; `language` is that of the target."""

    kind: str
    description: dict[str, Any]
    split: Split
    language: str
    further: list[list[str]] = field(default_factory=list)
    links: tuple[str | None, str | None] = (None, None)
    concatenate: int = 1

    @property
    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of the pairs, of each additional reference, and of the files of links."""
        found = {"pairs": self.split.digest}
        for number, lines in enumerate(self.further, start=2):
            found[f"reference {number}"] = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        links = zip(LINKS, self.links, strict=True)
        return found | {name: digest_of(name, file) for name, file in links if file is not None}

    def exam(self, trained: Trained) -> Exam:
        """Encode the text as the run encoded its own. Raises UserError for a side without words, and for another target
        language."""
        target = trained.config.parts["task"].get("target", self.language)
        if target != self.language:
            raise UserError(
                f"run={trained.path} writes {quote(target)}, and this text is translated to {self.language}"
            )
        sides = trained.source, trained.target
        examples, buckets = exam_set(self.split, sides, self.concatenate, self.links, self.further)
        lengths = [len(example.source) for example in examples]
        return Given(
            source_vocabulary=trained.source,
            target_vocabulary=trained.target,
            lengths=(min(lengths), max(lengths)),
            buckets=buckets,
            length_unit=unit(next(iter(self.split.names))),
            splitting=splitting(self.language, trained.config.parts["task"].get("tokenizer")),
            examples=examples,
        )


@dataclass(frozen=True)
class Sampled:
    """Hold examples of a synthetic task with gold alignment, in its own ids."""

    kind: str
    description: dict[str, Any]
    task: Synthetic
    buckets: tuple[tuple[int, int], ...]
    examples: list[Example]

    @property
    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of sources and targets."""
        content = repr([(example.source, example.target) for example in self.examples])
        return {"examples": hashlib.sha256(content.encode()).hexdigest()}

    def exam(self, trained: Trained) -> Exam:
        """Return the examples. Raises UserError for a run with other vocabularies, whose ids mean something else."""
        task = self.task
        sides = task.source_vocabulary, task.target_vocabulary
        if [side.tokens for side in sides] != [trained.source.tokens, trained.target.tokens]:
            raise UserError(f"run={trained.path} has other vocabularies than the task of these examples")
        return Given(
            source_vocabulary=task.source_vocabulary,
            target_vocabulary=task.target_vocabulary,
            lengths=task.lengths,
            buckets=self.buckets,
            length_unit=task.length_unit,
            splitting=task.splitting,
            examples=self.examples,
        )


def of_run(trained: Trained, split: str | None = None) -> Material:
    """Return the run's own test set or, for text, another of its splits, read from the place that its config names.

    Raises UserError if its content has changed since the run.
    """
    task = trained.config.parts["task"]
    if not _is_text(trained):
        if split is not None:
            raise UserError(f"split={quote(split)}: run={trained.path} has no text; leave it out, or give lengths=")
        built = _synthetic(trained)
        return Sampled("own", {"split": "test"}, built, built.buckets, built.test())
    name = split or "test"
    if name not in STEMS:
        raise UserError(
            f"split={quote(name)}: the run has {', '.join(STEMS)}; give path=DIR for a split by its file name"
        )
    links = (task.get("alignment"), task.get("silver")) if name == "test" else (None, None)
    read = _text(trained, "own", task.get("path"), name, task.get(name), task.get("columns"), links)
    kept = trained.config.data
    found = {name: read.digests["pairs"]} | {key: value for key, value in read.digests.items() if key != "pairs"}
    changed = [key for key, digest in found.items() if kept.get(key, digest) != digest]
    if changed:
        raise UserError(
            f"run={trained.path}: {', '.join(changed)} has changed since the run was made; path=DIR split={name} reads "
            "the current data"
        )
    return read


def split_of(
    trained: Trained, folder: Path, split: str, columns: str | None, links: tuple[str | None, str | None]
) -> Material:
    """Read one split of a folder, as in training: `train`, `validation` or `test` by their usual names, any other by
    the name of its files. Raises UserError for a run without text, and as `read_split` does."""
    if not folder.is_dir():
        raise UserError(f"path={folder} is not a folder")
    if not _is_text(trained):
        raise UserError(f"path={folder}: run={trained.path} was not trained on text; give source=FILE target=FILE")
    own_name = None if split in STEMS else split
    return _text(trained, "split", str(folder), split, own_name, columns, links)


def files(trained: Trained, source: Path, targets: Sequence[Path], links: tuple[str | None, str | None]) -> Material:
    """Read line-aligned files; the first target is the reference, the others are additional references.

    Raises UserError for files that cannot be read, and for unequal numbers of lines.
    """
    task = trained.config.parts["task"]
    names = {task.get("source", "source"): str(source), task.get("target", "target"): str(targets[0])}
    pairs = examined(names, partial(aligned, source, targets[0]))
    further = [list(read_lines(path)) for path in targets[1:]]
    for path, lines in zip(targets[1:], further, strict=True):
        if len(lines) != len(pairs):
            raise UserError(f"{source} has {len(pairs)} lines and {path} has {len(lines)} lines; one reference a line")
    where = {"source": str(source.absolute()), "target": [str(path.absolute()) for path in targets]}
    return Text("files", where | {"concatenate": 1}, pairs, task.get("target", "en"), further, links)


def of_lengths(trained: Trained, lengths: Sequence[int]) -> Material:
    """Sample sources of these lengths that training cannot have shown (`Synthetic.unseen`), `PER_LENGTH` of each.

    Raises UserError for a run on text, and for lengths that its task does not have.
    """
    if _is_text(trained):
        raise UserError(
            f"lengths= samples a synthetic task, and run={trained.path} was trained on text; give source=FILE "
            "target=FILE, or path=DIR"
        )
    task = _synthetic(trained)
    examples = [example for length in lengths for example in task.unseen(length, PER_LENGTH)]
    buckets = tuple((length, length) for length in lengths)
    held_out = [length for length in lengths if length <= task.lengths[1]]
    where = {"lengths": list(lengths), "from the run's held-out examples": held_out}
    return Sampled("lengths", where, task, buckets, examples)


def _text(
    trained: Trained, kind: str, path: str | None, split: str, own_name: str | None, columns: str | None,
    links: tuple[str | None, str | None],
) -> Text:  # fmt: skip
    task = trained.config.parts["task"]
    languages = (task["source"], task["target"])
    if path is None:
        names = {name: task.get(name) for name in STEMS}
        read = read_hub(task.get("dataset") or DATASET, *languages, names)[split]
    else:
        stems = STEMS[split] if own_name is None else (own_name,)
        folder = Path(path).expanduser()
        if not folder.is_dir():
            raise UserError(
                f"run={trained.path}: its data was in {folder}, which no longer exists; read it from another with "
                f"path=DIR split={split}"
            )
        other = f"split={NAME}" if kind == "split" else f"task.{split}={NAME}"
        read = read_split(folder, split, stems, languages, columns, other)
        if kind == "split" and columns is not None and not any(".tsv" in name for name in read.names.values()):
            raise UserError(f"columns={columns} names the columns of a TSV file, but {split} is not one; leave it out")
    where = {"split": split, "source": read.names[languages[0]], "target": [read.names[languages[1]]]}
    joined = task.get("concatenate", 1)
    return Text(kind, where | {"concatenate": joined}, read, languages[1], links=links, concatenate=joined)


def _is_text(trained: Trained) -> bool:
    return "source" in trained.config.parts["task"]


def _synthetic(trained: Trained) -> Synthetic:
    task = build(trained.config.parts["task"])
    assert isinstance(task, Synthetic)
    return task
