"""Build a training step, and the decoding, of a config on a fixed batch, to be measured repeatedly."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch

from softlookup.config.build import RunParts
from softlookup.contract import Batch, Task
from softlookup.data.collate import collate
from softlookup.model.seq2seq import Seq2Seq
from softlookup.model.training_step import update
from softlookup.text.vocabulary import BOS

SENTENCES = 32


@dataclass(frozen=True)
class Probe:
    """Hold one training step: `step` takes it and returns when the device has finished; `tokens` is the number of its
    target tokens."""

    step: Callable[[], None]
    optimizer: torch.optim.Optimizer
    tokens: int


def fixed_batch(task: Task, sentences: int = SENTENCES) -> Batch:
    """Return the batch that variants are measured on: the longest validation sources that training may show.

    A longer source would measure a step that training never takes. If training may show none of them, the shortest are
    used.
    """
    examples = sorted(task.validation(), key=lambda example: -len(example.source))
    return collate([example for example in examples if task.may_show(example)][:sentences] or examples[-sentences:])


def probe(parts: RunParts, model: Seq2Seq, sentences: int = SENTENCES) -> Probe:
    """Return the training step of a run, with the fixed batch of so many sentences in place of each batch of a step.

    Clipping, smoothing, loss mean and learning rate are those of the first step.

    Each call changes `model`, which is put into training mode: pass a copy if it is still needed.
    """
    device = model.output.weight.device
    batch = fixed_batch(parts.task, sentences).to(device)
    recipe, settings = parts.recipe, parts.config.settings
    optimizer = recipe.optimizer.build(model.parameters())
    model.train()

    def step() -> None:
        update(model, optimizer, recipe, [batch] * settings.accumulate, settings.budget)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return Probe(step, optimizer, settings.accumulate * batch.tokens)


@dataclass(frozen=True)
class Decoding:
    """Hold a decoding: `step` decodes `tokens` tokens and returns when the device has finished."""

    step: Callable[[], None]
    tokens: int


@torch.no_grad()
def decoding(parts: RunParts, model: Seq2Seq, sentences: int = SENTENCES) -> Decoding:
    """Return the greedy decoding of the fixed batch of so many sentences by a copy of `model`, one token of each
    sentence at a time, as many as the longest target has. Sources are encoded before: their encoding is not measured.
    """
    device = model.output.weight.device
    batch = fixed_batch(parts.task, sentences).to(device)
    twin = copy.deepcopy(model).to(device).eval()
    memory, before = twin.encode(batch.source, batch.source_mask, batch.lengths)
    first = torch.full((len(batch.source), 1), BOS, device=device)

    @torch.no_grad()
    def step() -> None:
        inputs, state = first, before
        for _ in range(batch.target.size(1)):
            logits, _, state = twin.step(inputs, memory, state, weights=False)
            inputs = logits.argmax(-1, keepdim=True)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return Decoding(step, batch.target.numel())
