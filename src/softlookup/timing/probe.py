"""Build one training step of a config on a fixed batch, to be measured repeatedly."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from softlookup.config.build import RunParts
from softlookup.contract import Batch, Task
from softlookup.data.collate import collate
from softlookup.model.seq2seq import Seq2Seq
from softlookup.model.training_step import update

SENTENCES = 32


@dataclass(frozen=True)
class Probe:
    """`step` makes one whole training step and returns when the device has made it; `tokens` are the target tokens
    that it sees."""

    step: Callable[[], None]
    optimizer: torch.optim.Optimizer
    tokens: int


def fixed_batch(task: Task) -> Batch:
    """Return the batch that variants are measured with: the 32 longest validation sources that training may show.

    A longer one would measure a step that training never takes. Where training may show none of them it is the
    shortest.
    """
    examples = sorted(task.validation(), key=lambda example: -len(example.source))
    return collate([example for example in examples if task.may_show(example)][:SENTENCES] or examples[-SENTENCES:])


def probe(parts: RunParts, model: Seq2Seq) -> Probe:
    """Return the training step of a run, with the fixed batch in place of each that makes a step.

    Clipping, smoothing, mean of the loss and rate are those of its first step.

    Its calls change `model`, which is put into training mode: pass a copy of one that matters.
    """
    device = model.output.weight.device
    batch = fixed_batch(parts.task).to(device)
    recipe, settings = parts.recipe, parts.config.settings
    optimizer = recipe.optimizer.build(model.parameters())
    model.train()

    def step() -> None:
        update(model, optimizer, recipe, [batch] * settings.accumulate, settings.budget)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return Probe(step, optimizer, settings.accumulate * int(batch.target_mask.sum()))
