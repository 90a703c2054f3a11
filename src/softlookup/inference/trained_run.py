"""Save and load the model of a finished run, verified.

RUN/checkpoints/final.pt      the weights that the result was measured with
RUN/vocabularies.json         both vocabularies as plain values: using a run needs no corpus
RUN/result.json               under `files` the bytes and the SHA-256 of both

The config is checked against the hash at the end of the folder's name.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from softlookup.config.build import build_model
from softlookup.config.components import check_part, part_of
from softlookup.config.run_config import RunConfig
from softlookup.contract import Task
from softlookup.errors import UserError
from softlookup.model.seq2seq import Seq2Seq
from softlookup.runs.finished_run import VOCABULARIES, WEIGHTS, finished, read_verified
from softlookup.system import atomic_files
from softlookup.text.vocabulary import Vocabulary, restored
from softlookup.training.checkpoints import plain, serialized


@dataclass(frozen=True)
class Trained:
    """Hold the model of a finished run, in evaluation mode, with its vocabularies and its config."""

    path: Path
    config: RunConfig
    model: Seq2Seq
    source: Vocabulary
    target: Vocabulary

    def require_weights(self, given: str, missing: str) -> None:
        """Raise UserError, which begins with `given`, if the model has no weights over the source."""
        if self.model.kind != "lookup":
            attention = self.config.choices["attention"]
            reads = "one fixed context for every word" if self.model.kind == "fixed" else "without weights"
            raise UserError(
                f"{given}: attention={attention} reads {reads}: {missing}; take a run with another attention"
            )


def keep(folder: Path, model: Seq2Seq, task: Task) -> list[dict[str, Any]]:
    """Write the files that `load` needs, and return their rows for the result: file, bytes, sha256."""
    vocabularies = {"source": task.source_vocabulary.state(), "target": task.target_vocabulary.state()}
    contents = {
        WEIGHTS: serialized({name: weight.cpu() for name, weight in model.state_dict().items()}),
        VOCABULARIES: json.dumps(vocabularies, ensure_ascii=False).encode() + b"\n",
    }
    for name, data in contents.items():
        atomic_files.write(folder / name, data)
    return [
        {"file": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in contents.items()
    ]


def load(path: Path) -> Trained:
    """Load the run in a folder; its weights are on the CPU.

    Raises UserError for a run that is not finished, for one that was made before vocabularies were kept, and for a file
    that is missing, has changed since the run ended, or does not fit the others.
    """
    config, row = finished(path)
    for group in ("encoder", "attention", "decoder"):
        check_part(group, config.parts.get(group), part_of(group))
    files = read_verified(path, row, WEIGHTS, VOCABULARIES)
    vocabularies = json.loads(files[VOCABULARIES])
    source, target = restored(vocabularies["source"]), restored(vocabularies["target"])
    model = build_model(config, len(source), len(target))
    weights = plain(path / WEIGHTS, files[WEIGHTS])
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError(
            f"{path / WEIGHTS} does not fit the model that this version builds from config.yaml; use the "
            "version that result.json names under provenance"
        ) from error
    return Trained(path, config, model.eval(), source, target)
