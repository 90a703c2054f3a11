"""Benchmark cells of JoeyNMT: its `search` on models made by its `build_model`."""

import importlib.metadata
import logging
from types import SimpleNamespace
from typing import Any

import torch
from joeynmt.batch import Batch
from joeynmt.model import build_model
from joeynmt.search import search
from joeynmt.vocabulary import Vocabulary
from serve import Cell, serve

SPECIALS = SimpleNamespace(
    pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>", sep_token=None, lang_tags=[],
    pad_id=1, bos_id=2, eos_id=3, unk_id=0, sep_id=None,
)  # fmt: skip


def _models(work: dict[str, Any]) -> dict[str, Any]:
    rnn, transformer = work["rnn"], work["transformer"]
    embedding = {"embedding_dim": rnn["embedding"]}
    recurrent = {
        "encoder": {
            "type": "recurrent", "rnn_type": "gru", "embeddings": embedding, "hidden_size": rnn["encoder"],
            "bidirectional": True, "num_layers": 1,
        },
        "decoder": {
            "type": "recurrent", "rnn_type": "gru", "embeddings": embedding, "hidden_size": rnn["decoder"],
            "attention": "bahdanau", "num_layers": 1, "init_hidden": "bridge", "input_feeding": True,
        },
    }  # fmt: skip
    stack = {
        "type": "transformer", "embeddings": {"embedding_dim": transformer["model"], "scale": True},
        "hidden_size": transformer["model"], "ff_size": transformer["feed_forward"],
        "num_layers": transformer["blocks"], "num_heads": transformer["heads"], "layer_norm": "pre",
    }  # fmt: skip
    return {"rnn": recurrent, "transformer": {"encoder": dict(stack), "decoder": dict(stack)}}


def prepare(work: dict[str, Any]) -> tuple[dict[str, Cell], dict[str, int], str]:
    logging.disable(logging.CRITICAL)
    sides = [Vocabulary([f"w{i}" for i in range(work[side] - 4)], SPECIALS) for side in ("sources", "targets")]
    cells: dict[str, Cell] = {}
    parameters = {}
    for name, config in _models(work).items():
        model = build_model(config, *sides).eval()
        model.log_parameters_list = lambda: None
        parameters[name] = sum(p.numel() for p in model.parameters())
        for kind, size in (("greedy", 1), ("beam", work["beam"])):

            def cell(source: torch.Tensor, lengths: torch.Tensor, model: Any = model, size: int = size) -> int:
                source = source.masked_fill(source == 0, 1)  # JoeyNMT's padding id
                order = lengths.argsort(descending=True)  # its recurrent encoder requires sorted lengths
                batch = Batch(
                    source[order], lengths[order], None, None, None, order, torch.device("cpu"), 1, 3, is_train=False
                )
                written, _, _ = search(
                    model, batch, work["steps"], size, 0.0, 1, min_output_length=work["steps"], return_prob="none"
                )
                return int((written != 1).sum())

            cells[f"{name} {kind}"] = cell
    return cells, parameters, f"JoeyNMT {importlib.metadata.version('joeynmt')}"


if __name__ == "__main__":
    serve(prepare)
