"""Implement src/evaluate.py: evaluate a finished run on a test set, to one row."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from softlookup.config.build import build, device_of
from softlookup.contract import Exam, Example
from softlookup.errors import UserError
from softlookup.evaluation.evaluate import measured, texts
from softlookup.evaluation.metrics import significance, translation
from softlookup.evaluation.outputs import Output, run_test
from softlookup.inference import test_sets, weights_file
from softlookup.inference.search_overrides import chosen
from softlookup.inference.trained_run import Trained, load
from softlookup.runs import provenance
from softlookup.runs.finished_run import find
from softlookup.runs.run_folder import RunFolder
from softlookup.runs.run_id import DIGITS, VERSION, short, variant_key
from softlookup.search.search import Search
from softlookup.system.seeds import derived_seed, seed_everything
from softlookup.text.vocabulary import EOS, UNK

FOLDER = "evaluations"  # within a run's
MOSTLY = 0.5  # of the tokens of a side


@dataclass(frozen=True)
class Asked:
    """Hold what the command line asks for, checked against itself. Without source, path, split and lengths: the run's
    own test set."""

    run: str
    runs_dir: Path = Path("runs")
    source: Path | None = None
    target: tuple[Path, ...] = ()
    path: Path | None = None
    split: str | None = None
    columns: str | None = None
    lengths: tuple[int, ...] = ()
    alignment: str | None = None
    silver: str | None = None
    against: str | None = None
    weights: Path | None = None
    out: Path | None = None
    device: str | None = None
    search: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Looked:
    """The weights (T, S) of one pair under teacher forcing, with the tokens of both sides, and those of each head."""

    weights: np.ndarray
    source: list[str]
    target: list[str]
    heads: np.ndarray | None


@dataclass(frozen=True)
class Done:
    """The row of an evaluation, and where it belongs: in the run's folder, under a name made of what was evaluated, its
    content and the search."""

    row: dict[str, Any]
    place: Path


def evaluate(asked: Asked) -> Done:
    """Evaluate a run to one row. Writes `asked.weights` where it is given, and nothing else.

    The metrics are those of a run's own test, by the same code: its own test set gives its own figures. Of several
    references, all count for BLEU and chrF, and the first for everything else. Raises UserError for what is asked,
    found or read amiss.
    """
    trained = load(find(asked.run, asked.runs_dir))
    other = load(find(asked.against, asked.runs_dir, "against")) if asked.against else None
    material = _material(trained, asked)
    exam = material.exam(trained)
    if other is not None and exam.test()[0].reference is None:
        raise UserError(f"against={asked.against}: sacrebleu compares text, and these examples have none; leave it out")
    other_exam = material.exam(other) if other else None
    if asked.weights:
        trained.require_weights(f"weights={asked.weights}", "there are no weights to write")
    node, outputs = _taken(trained, exam, asked)
    found = measured(outputs, exam)
    row: dict[str, Any] = {
        **_of_run(trained),
        "evaluated": {"kind": material.kind, **material.told},
        "data": short(material.digests),
        "same_as": _same_as(trained, material),
        "search": node,
        "examples": len(outputs),
        "unknown": {
            "source": _unknown([e.source for e in exam.test()]),
            "target": _unknown([e.target for e in exam.test()]),
        },
        "metrics": found.metrics,
        "by_length": found.by_length,
        **({"heads": found.heads} if found.heads else {}),
        "length_unit": exam.length_unit,
        "signatures": found.signatures,
    }
    if other is not None and other_exam is not None:
        row["against"] = _compared(exam, outputs, other, other_exam, asked)
    row["provenance"] = provenance.collect()
    _warn(row)
    if asked.weights:
        _write_weights(trained, exam, outputs, asked.weights)
    return Done(row, trained.path / FOLDER / f"{material.kind}-{_name(row)}.json")


def _material(trained: Trained, asked: Asked) -> test_sets.Material:
    links = (asked.alignment, asked.silver)
    if asked.source:
        return test_sets.files(trained, asked.source, asked.target, links)
    if asked.lengths:
        return test_sets.of_lengths(trained, asked.lengths)
    if asked.path:
        return test_sets.split_of(trained, asked.path, asked.split or "test", asked.columns, links)
    return test_sets.own(trained, asked.split)


def _taken(trained: Trained, exam: Exam, asked: Asked) -> tuple[dict[str, Any], list[Output]]:
    """Return the search that was used, and what the model made of each example, as at the end of its training."""
    config = trained.config
    node = chosen(config, asked.search)
    search: Search = build(node)
    search.check(trained.model)
    torch.set_num_threads(config.settings.threads)
    device = device_of(asked.device or config.settings.device)
    seed_everything(derived_seed(config.settings.seed, "evaluation"))
    return node, run_test(trained.model.to(device), exam, device, search)


def _of_run(trained: Trained) -> dict[str, Any]:
    row = RunFolder(trained.path).result() or {}
    return {
        "run": trained.path.resolve().name,
        "version": VERSION,
        "choices": dict(trained.config.choices),
        "seed": trained.config.settings.seed,
        "variant_key": variant_key(trained.config),
        "longest": row.get("longest"),
        "files": row.get("files"),
    }


def _same_as(trained: Trained, material: test_sets.Material) -> list[str]:
    """Return which of the run's own splits have the very pairs of this text: what it was trained on is no test.

    Pairs that are joined otherwise than the run's own (`task.concatenate`) are another test set.
    """
    same = [key for key, digest in trained.config.data.items() if digest == material.digests.get("pairs")]
    joined = trained.config.parts["task"].get("concatenate", 1)
    return same if material.told.get("concatenate", joined) == joined else [key for key in same if key == "train"]


def _unknown(sentences: list[tuple[int, ...]]) -> float | None:
    ids = [index for sentence in sentences for index in sentence]
    return ids.count(UNK) / len(ids) if ids else None


def _warn(row: dict[str, Any]) -> None:
    """Tell what makes figures mean something else than they seem to."""
    if "train" in row["same_as"]:
        print("warning: the run was trained on these pairs; their figures are no test", file=sys.stderr)
    for side, share in row["unknown"].items():
        if share and share > MOSTLY:
            print(f"warning: {share:.0%} of the {side} tokens are unknown to the run", file=sys.stderr)


def _in_order(outputs: list[Output], examples: list[Example]) -> list[Output]:
    """Return the outputs in the order of the test set, by which two runs' outputs belong together."""
    place = {id(example): number for number, example in enumerate(examples)}
    return sorted(outputs, key=lambda output: place[id(output.example)])


def _compared(exam: Exam, outputs: list[Output], other: Trained, other_exam: Exam, asked: Asked) -> dict[str, Any]:
    """Return the paired tests against another run's outputs for the same test set."""
    node, others = _taken(other, other_exam, asked)
    hypotheses, *references = texts(_in_order(outputs, exam.test()), exam)
    baseline, *_ = texts(_in_order(others, other_exam.test()), other_exam)
    metrics = translation.metrics_of_lines(exam.splitting)
    return {
        **_of_run(other),
        "search": node,
        "tests": significance.paired(baseline, hypotheses, references, metrics),
    }


def _write_weights(trained: Trained, exam: Exam, outputs: list[Output], path: Path) -> None:
    source, target = exam.source_vocabulary.tokens, exam.target_vocabulary.tokens
    with weights_file.written(path) as file:
        for number, output in enumerate(_in_order(outputs, exam.test()), start=1):
            assert output.forced_weights is not None
            example = output.example
            # One pair at a time: a head's weights of long pairs are many times those of the mean.
            heads = weights_file.of_heads(trained.model, [(example.source, example.target)])
            file.add(
                number,
                Looked(
                    output.forced_weights,
                    [source[i] for i in (*example.source, EOS)],
                    [target[i] for i in output.reference],
                    heads[0] if heads else None,
                ),
            )
    print(f"weights of {file.count} examples: {path}", file=sys.stderr)


def _name(row: dict[str, Any]) -> str:
    """Hash what was evaluated, its content and the search, and of another run which."""
    told = {key: row[key] for key in ("version", "data", "search")}
    told |= {"kind": row["evaluated"]["kind"], "against": row.get("against", {}).get("run")}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:DIGITS]
