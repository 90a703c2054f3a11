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
from softlookup.evaluation.evaluate import measured
from softlookup.evaluation.examined import texts
from softlookup.evaluation.metrics import significance, translation
from softlookup.evaluation.outputs import Output, run_test
from softlookup.inference import test_sets, weights_file
from softlookup.inference.over_seeds import over_seeds, test_set
from softlookup.inference.search_overrides import chosen
from softlookup.inference.trained_run import Trained, load
from softlookup.runs import provenance
from softlookup.runs.finished_run import find
from softlookup.runs.run_folder import RunFolder
from softlookup.runs.run_id import DIGITS, VERSION, short, variant_key
from softlookup.search.search import Search
from softlookup.system.seeds import derived_seed, seed_everything
from softlookup.text.vocabulary import EOS, UNK

FOLDER = "evaluations"  # within a run's folder
MOSTLY = 0.5  # share of the tokens of a side


@dataclass(frozen=True)
class Request:
    """Hold the checked arguments of the command line. Without source, path, split and lengths, the run's own test set
    is used."""

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
class PairWeights:
    """Hold the weights (T, S) of one pair under teacher forcing, with the tokens of both sides, and the weights of each
    head."""

    weights: np.ndarray
    source: list[str]
    target: list[str]
    heads: np.ndarray | None


@dataclass(frozen=True)
class Evaluated:
    """Hold the row of an evaluation, and the path to write it to: in the run's folder, named by a hash of the test set
    and the search."""

    row: dict[str, Any]
    place: Path


def evaluate(request: Request) -> Evaluated:
    """Evaluate a run to one row. Writes only `request.weights`, if it is given.

    The metrics are computed by the code of a run's own test: on the run's own test set they equal the run's figures.
    With several references, all count for BLEU and chrF, and the first for everything else. Raises UserError for
    invalid arguments and for files or runs that cannot be used.
    """
    trained = load(find(request.run, request.runs_dir))
    other = load(find(request.against, request.runs_dir, "against")) if request.against else None
    material = _material(trained, request)
    exam = material.exam(trained)
    if other is not None and exam.test()[0].reference is None:
        raise UserError(
            f"against={request.against}: sacrebleu compares text, and these examples have none; leave it out"
        )
    other_exam = material.exam(other) if other else None
    if request.weights:
        trained.require_weights(f"weights={request.weights}", "there are no weights to write")
    node, outputs = _searched(trained, exam, request)
    found = measured(outputs, exam)
    row: dict[str, Any] = {
        **_of_run(trained),
        "evaluated": {"kind": material.kind, **material.description},
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
        row["against"] = _compared(exam, outputs, other, other_exam, request)
        own = material.kind == "own" and request.split in (None, "test")
        if (own or "test" in row["same_as"]) and test_set(trained) == test_set(other):
            row["against"]["seeds"] = over_seeds(trained, other, row["against"]["tests"])
    row["provenance"] = provenance.collect()
    _warn(row)
    if request.weights:
        _write_weights(trained, exam, outputs, request.weights)
    return Evaluated(row, trained.path / FOLDER / f"{material.kind}-{_name(row)}.json")


def _material(trained: Trained, request: Request) -> test_sets.Material:
    links = (request.alignment, request.silver)
    if request.source:
        return test_sets.files(trained, request.source, request.target, links)
    if request.lengths:
        return test_sets.of_lengths(trained, request.lengths)
    if request.path:
        return test_sets.split_of(trained, request.path, request.split or "test", request.columns, links)
    return test_sets.of_run(trained, request.split)


def _searched(trained: Trained, exam: Exam, request: Request) -> tuple[dict[str, Any], list[Output]]:
    """Return the search that was used, and the outputs of the model for each example, as at the end of training."""
    config = trained.config
    node = chosen(config, request.search)
    search: Search = build(node)
    search.check(trained.model)
    torch.set_num_threads(config.settings.threads)
    device = device_of(request.device or config.settings.device)
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
    """Return the splits of the run whose pairs equal those of this text: the training split is no valid test set.

    Pairs that are joined differently from the run's (`task.concatenate`) are another test set.
    """
    same = [key for key, digest in trained.config.data.items() if digest == material.digests.get("pairs")]
    joined = trained.config.parts["task"].get("concatenate", 1)
    return (
        same if material.description.get("concatenate", joined) == joined else [key for key in same if key == "train"]
    )


def _unknown(sentences: list[tuple[int, ...]]) -> float | None:
    ids = [index for sentence in sentences for index in sentence]
    return ids.count(UNK) / len(ids) if ids else None


def _warn(row: dict[str, Any]) -> None:
    """Warn of test sets whose figures are misleading."""
    if "train" in row["same_as"]:
        print("warning: the run was trained on these pairs; their figures are no test", file=sys.stderr)
    for side, share in row["unknown"].items():
        if share and share > MOSTLY:
            print(f"warning: {share:.0%} of the {side} tokens are unknown to the run", file=sys.stderr)


def _in_order(outputs: list[Output], examples: list[Example]) -> list[Output]:
    """Return the outputs in the order of the test set, which pairs the outputs of two runs."""
    place = {id(example): number for number, example in enumerate(examples)}
    return sorted(outputs, key=lambda output: place[id(output.example)])


def _compared(exam: Exam, outputs: list[Output], other: Trained, other_exam: Exam, request: Request) -> dict[str, Any]:
    """Return the paired tests against another run's outputs for the same test set."""
    node, others = _searched(other, other_exam, request)
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
            # One pair at a time: the weights of all heads of long pairs take much memory.
            heads = weights_file.of_heads(trained.model, [(example.source, example.target)])
            file.add(
                number,
                PairWeights(
                    output.forced_weights,
                    [source[i] for i in (*example.source, EOS)],
                    [target[i] for i in output.reference],
                    heads[0] if heads else None,
                ),
            )
    print(f"weights of {file.count} examples: {path}", file=sys.stderr)


def _name(row: dict[str, Any]) -> str:
    """Hash what was evaluated, its content, the search and the run compared against."""
    content = {key: row[key] for key in ("version", "data", "search")}
    content |= {"kind": row["evaluated"]["kind"], "against": row.get("against", {}).get("run")}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:DIGITS]
