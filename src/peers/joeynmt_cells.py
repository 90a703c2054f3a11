"""Benchmark cells of JoeyNMT: its `search` and its training loss on models made by its `build_model`."""

import importlib.metadata
import logging
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from joeynmt import batch as batches
from joeynmt.builders import build_gradient_clipper, build_optimizer
from joeynmt.model import build_model
from joeynmt.search import search
from joeynmt.vocabulary import Vocabulary
from serve import Batch, Prepared, serve, with_bos_and_eos

PAD, BOS, EOS = 1, 2, 3
SPECIALS = SimpleNamespace(
    pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>", sep_token=None, lang_tags=[],
    pad_id=PAD, bos_id=BOS, eos_id=EOS, unk_id=0, sep_id=None,
)  # fmt: skip


def _models(work: dict[str, Any]) -> dict[str, Any]:
    rnn, transformer = work["rnn"], work["transformer"]
    embedding = {"embedding_dim": rnn["embedding"], "dropout": rnn["dropout"]}
    recurrent = {
        "encoder": {
            "type": "recurrent", "rnn_type": "gru", "embeddings": embedding, "hidden_size": rnn["encoder"],
            "bidirectional": True, "num_layers": 1, "dropout": rnn["dropout"],
        },
        "decoder": {
            "type": "recurrent", "rnn_type": "gru", "embeddings": embedding, "hidden_size": rnn["decoder"],
            "attention": "bahdanau", "num_layers": 1, "init_hidden": "bridge", "input_feeding": True,
            "dropout": rnn["dropout"], "hidden_dropout": rnn["dropout"],
        },
    }  # fmt: skip
    dropout = transformer["dropout"]
    stack = {
        "type": "transformer",
        "embeddings": {"embedding_dim": transformer["model"], "scale": True, "dropout": dropout},
        "hidden_size": transformer["model"], "ff_size": transformer["feed_forward"],
        "num_layers": transformer["blocks"], "num_heads": transformer["heads"], "layer_norm": "pre", "dropout": dropout,
    }  # fmt: skip
    return {"rnn": recurrent, "transformer": {"encoder": dict(stack), "decoder": dict(stack)}}


def prepare(work: dict[str, Any]) -> Prepared:
    logging.disable(logging.CRITICAL)
    sides = [Vocabulary([f"w{i}" for i in range(work[side] - 4)], SPECIALS) for side in ("sources", "targets")]
    cells = {}
    parameters = {}
    for name, config in _models(work).items():
        model = build_model(config, *sides)
        model.log_parameters_list = lambda: None
        model.loss_function = ("crossentropy", 0.0)
        parameters[name] = sum(p.numel() for p in model.parameters())
        training = {"optimizer": "adam", "learning_rate": work["rate"]}
        optimizer = build_optimizer(training, model.parameters())
        clip = build_gradient_clipper({"clip_grad_norm": work["clip"], "clip_grad_val": None})
        cells[f"{name} training"] = partial(_trained, model, optimizer, clip)
        for kind, size in (("greedy", 1), ("beam", work["beam"])):
            cells[f"{name} {kind}"] = partial(_decoded, model, work["steps"], size)
    return Prepared(cells, parameters, f"JoeyNMT {importlib.metadata.version('joeynmt')}")


def _batch(batch: Batch, target: torch.Tensor | None) -> batches.Batch:
    source = batch.source.masked_fill(batch.source == 0, PAD)
    order = batch.lengths.argsort(descending=True)  # its recurrent encoder requires sorted lengths
    target = None if target is None else target[order]
    rows = (source[order], batch.lengths[order], None, target, None, order, torch.device("cpu"))
    return batches.Batch(*rows, PAD, EOS, is_train=target is not None)


def _trained(model: Any, optimizer: Any, clip: Any, batch: Batch) -> int:
    """Take a step as JoeyNMT's `TrainManager` does."""
    model.train()
    given = _batch(batch, with_bos_and_eos(batch.target, (PAD, BOS, EOS)))
    loss, _, _, correct = model(return_type="loss", **vars(given))
    given.normalize(loss, normalization="tokens").backward()
    correct.item()
    clip(parameters=model.parameters())
    optimizer.step()
    model.zero_grad()
    return int(given.ntokens)


def _decoded(model: Any, steps: int, size: int, batch: Batch) -> int:
    model.eval()
    found, _, _ = search(model, _batch(batch, None), steps, size, 0.0, 1, min_output_length=steps, return_prob="none")
    return int((found != PAD).sum())


if __name__ == "__main__":
    serve(prepare)
