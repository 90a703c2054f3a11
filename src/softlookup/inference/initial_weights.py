"""Initialize a run with the weights and vocabularies of a finished one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from softlookup.config.build import RunParts, build, build_run, device_of
from softlookup.config.run_config import RunConfig
from softlookup.contract import Task
from softlookup.errors import UserError
from softlookup.inference.trained_run import Trained, load
from softlookup.model.seq2seq import Seq2Seq
from softlookup.runs.lineage import weights_digest
from softlookup.segmentation.kept import Kept
from softlookup.text.vocabulary import Vocabulary

_SHOWN = 8  # names of weights in the note; the result row has all of them


@dataclass(frozen=True)
class Started:
    """Describe which weights came from a finished run: the names of those that were taken, those that the run does not
    have (`new`), and those of the run that the model does not use (`left`)."""

    run: str
    taken: list[str]
    new: list[str]
    left: list[str]

    def row(self) -> dict[str, Any]:
        """Return the values for the result row."""
        return {"run": self.run, "taken": len(self.taken), "new": self.new, "left": self.left}

    def note(self) -> str:
        """Return a message that says which weights were taken."""
        message = f"init_from: {len(self.taken)} weights of {self.run}, with its vocabularies"
        for what, names in (("newly initialized", self.new), ("not used", self.left)):
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            message += f"; {what}: {', '.join(names[:_SHOWN])}{more}" if names else ""
        return message


def parts_of(config: RunConfig, rank: int | None = None) -> tuple[RunParts, Started | None]:
    """Build every part of a run, with the vocabularies and weights of the run that it starts from, if any. A worker
    `rank` of a distributed run uses the CUDA device of that number. Allocations beyond this process's share of a GPU
    (`workers_per_gpu`) raise torch.OutOfMemoryError."""
    first = origin_of(config)
    device = device_of(config.settings.device)
    if device.type == "cuda" and rank is not None:
        device = torch.device("cuda", rank)
    if device.type == "cuda":
        torch.cuda.set_per_process_memory_fraction(1 / config.settings.workers_per_gpu, device)
    parts = build_run(config, task_of(config, first), device)
    return parts, None if first is None else start_from(parts.model, first)


def origin_of(config: RunConfig) -> Trained | None:
    """Return the finished run that a config starts from, if any. Raises UserError if it has changed since."""
    if config.settings.init_from is None:
        return None
    path = Path(config.settings.init_from)
    if weights_digest(path) != config.data["init_from"]:
        raise UserError(f"init_from={path} was trained again since this run was planned; type the command again")
    return load(path)


def task_of(config: RunConfig, origin: Trained | None) -> Task:
    """Build the task of a config, with the vocabularies of the run that it starts from.

    Raises UserError for a task with other tokens.
    """
    if origin is None or origin.config.parts["task"].get("target") is None:
        task: Task = build(config.parts["task"])
    else:
        task = build({**config.parts["task"], "_partial_": True})(
            segmentation=Kept(origin.source.state(), origin.target.state())
        )
    if origin is not None:
        for side, vocabulary, other in (
            ("source", task.source_vocabulary, origin.source),
            ("target", task.target_vocabulary, origin.target),
        ):
            _check_vocabulary(side, vocabulary, other, origin.path)
    return task


def _check_vocabulary(side: str, vocabulary: Vocabulary, other: Vocabulary, path: Path) -> None:
    if vocabulary.state() == other.state():
        return
    places = zip(vocabulary.tokens, other.tokens, strict=False)
    first = next((f"{one} here, {two} there" for one, two in places if one != two), "one has more than the other")
    raise UserError(
        f"init_from={path}: its {side} tokens differ ({len(other)} there, {len(vocabulary)} here; {first}), and its "
        "weights depend on them; take a task with the same tokens"
    )


@torch.no_grad()
def start_from(model: Seq2Seq, origin: Trained) -> Started:
    """Copy the weights of a finished run to a model, by name, wherever the shapes agree."""
    theirs, ours = origin.model.state_dict(), model.state_dict()
    fitting = {name: weight for name, weight in theirs.items() if name in ours and ours[name].shape == weight.shape}
    model.load_state_dict(fitting, strict=False)
    # Two weights of the run may be tied here: only the one copied last was taken.
    now = model.state_dict()
    taken = [name for name, weight in fitting.items() if torch.equal(now[name].cpu(), weight)]
    new, left = (sorted(names.keys() - set(taken)) for names in (ours, theirs))
    return Started(origin.path.name, taken, new, left)
