"""Shared by tests: two small finished runs (attention, fixed context), text to train on, models with known weights."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from configs import of_parts
from torch import Tensor, nn

from softlookup.config.resolve import composed
from softlookup.contract import Batch, Decoded, DecoderState
from softlookup.inference.trained_run import Trained
from softlookup.run import start
from softlookup.runs.run_folder import RunFolder
from softlookup.task.grammar import Grammar
from softlookup.text.vocabulary import Vocabulary

TINY = ["task=copy", "task.longest=3", "encoder.width=7", "decoder.width=14", "tracking=disabled", "device=cpu"]
TINY += ["budget=300", "batch_tokens=100", "validations=1"]


def make(runs_dir: Path) -> dict[str, Path]:
    """Train both runs; return their folders by the name of the attention."""
    folders = {}
    for attention in ("additive", "fixed_mean"):
        config = composed([*TINY, f"attention={attention}", f"runs_dir={runs_dir}"])
        start(config)
        folders[attention] = RunFolder.of(config).path
    return folders


def corpus(folder: Path) -> Path:
    """Write German and English sentences of the grammar to train.src, train.tgt, dev.src, …, with a file of links."""
    task = Grammar(longest=9)
    folder.mkdir()
    examples = {"train": task.validation()[:101], "dev": task.test()[:23], "test": task.test()[23:54]}
    for stem, rows in examples.items():
        sources = [" ".join(task.source_vocabulary.decode(e.source)) for e in rows]
        (folder / f"{stem}.src").write_text("".join(f"{line}\n" for line in sources))
        (folder / f"{stem}.tgt").write_text("".join(f"{e.reference}\n" for e in rows))
    links = [" ".join(f"{s}-{t}" for t, places in enumerate(e.sure) for s in places) for e in examples["test"]]
    (folder / "links").write_text("".join(f"{line}\n" for line in links))
    return folder


class Known(nn.Module):
    """A model whose weight for target position t of an example is 1 at source position `row(example, t)`."""

    kind = "lookup"

    def __init__(self, vocabulary: int, row: Any) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.row = row

    def output(self, readout: Tensor) -> Tensor:
        return torch.zeros(len(readout), self.vocabulary)

    def teach(self, batch: Batch, weights: bool) -> Decoded:
        assert weights
        known = torch.zeros(*batch.target.shape, batch.source.size(1))
        for b, example in enumerate(batch.examples):
            for t in range(len(example.target) + 1):
                position = self.row(example, t)
                if position is not None:
                    known[b, t, position] = 1.0
        return Decoded(known, known, DecoderState({}))


def known(source: Vocabulary, target: Vocabulary, row: Any) -> Trained:
    """Build a trained run around a model with known weights."""
    return around(Known(len(target), row), source, target)


def around(model: Any, source: Vocabulary, target: Vocabulary) -> Trained:
    """Build a trained run around a model."""
    search = {"_target_": "softlookup.search.greedy.Greedy", "longest_ratio": 3.0, "longest_extra": 10}
    config = replace(of_parts({"task": {}, "search": search}), choices={"attention": "known"})
    return Trained(Path("known"), config, model, source, target)
