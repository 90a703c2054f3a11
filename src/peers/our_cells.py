"""Benchmark cells of softlookup: models built from configs, with the training step of a run and the searches of an
evaluation."""

from functools import partial
from typing import Any

import matrix_products
import torch
from serve import Batch, Prepared, serve

from softlookup.config.build import build, build_model
from softlookup.config.resolve import composed
from softlookup.contract import Example
from softlookup.data.collate import collate
from softlookup.model.seq2seq import Seq2Seq
from softlookup.model.training_step import Recipe, update
from softlookup.runs.provenance import collect
from softlookup.search.beam import Beam
from softlookup.search.greedy import Greedy
from softlookup.search.search import Search
from softlookup.system.bf16_products import native
from softlookup.text.vocabulary import EOS, PAD

# Readout and LSTM are narrower than the peers' GRU of 512, so that all have the same number of parameters.
MODELS = {
    "rnn": ["attention=additive", "encoder=gru", "decoder=bahdanau", "decoder.readout=400"],
    "rnn (luong)": ["attention=additive", "encoder=gru", "decoder=luong"],
    "transformer": ["attention=scaled_dot", "encoder=transformer", "decoder=transformer"],
}
NEVER = 10**12  # a budget so large that the learning rate stays that of the first step


def _sizes(work: dict[str, Any], name: str) -> list[str]:
    size = work[name.partition(" ")[0]]
    dropout = [f"{group}.dropout={size['dropout']}" for group in ("encoder", "decoder")]
    if name == "transformer":
        keys = {"width": "model", "feed_forward": "feed_forward", "layers": "blocks"}
        both = [f"{group}.{key}={size[own]}" for group in ("encoder", "decoder") for key, own in keys.items()]
        return [f"attention.heads={size['heads']}", f"mixer.heads={size['heads']}", *both, *dropout]
    embedding = [f"{group}.embedding={size['embedding']}" for group in ("encoder", "decoder")]
    widths = [f"encoder.width={size['encoder']}", f"decoder.width={456 if 'luong' in name else size['decoder']}"]
    return [*embedding, *widths, f"attention.score.width={size['decoder']}", *dropout]


def prepare(work: dict[str, Any]) -> Prepared:
    limit = (0.0, work["steps"])
    searches: dict[str, Search] = {"greedy": Greedy(*limit), "beam": Beam(work["beam"], 0.0, 0.0, 1, *limit)}
    cells = {}
    steps = {}
    parameters = {}
    # Without instructions for bf16 its products are those of float32, and casts.
    precisions = ("float32", "bf16") if native() else ("float32",)
    optimizer = [f"optimizer.rate={work['rate']}", f"optimizer.clip={work['clip']}", "schedule=constant"]
    for name, choices in MODELS.items():
        config = composed([*choices, *_sizes(work, name), *optimizer, "tracking=disabled"])
        *models, decoding = (build_model(config, work["sources"], work["targets"]) for _ in range(3))
        parameters[name] = sum(p.numel() for p in decoding.parameters())
        of_bf16 = f"{name[:-1]}, bf16)" if name.endswith(")") else f"{name} (bf16)"
        for cell, precision, model in zip((name, of_bf16), precisions, models, strict=False):
            adam = build(config.parts["optimizer"])
            recipe = Recipe(adam, build(config.parts["schedule"]), precision=precision)
            steps[f"{cell} training"] = partial(_trained, model, recipe, adam.build(model.parameters()))
        with torch.no_grad():
            decoding.output.bias[EOS] = -torch.inf
        for kind, search in searches.items():
            cells[f"{name} {kind}"] = partial(_decoded, decoding, search)

    def floor(cell: str, batches: list[Batch]) -> dict[str, float]:
        return matrix_products.alone(partial(steps[cell], batch) for batch in batches)

    return Prepared(
        {**steps, **cells}, parameters, f"softlookup {collect().get('commit') or 'without a commit'}", floor
    )


def _trained(model: Seq2Seq, recipe: Recipe, optimizer: torch.optim.Optimizer, batch: Batch) -> int:
    model.train()
    # The last word of each side stands for EOS, which `collate` adds.
    sides = ([row[: row.index(PAD) - 1 if PAD in row else -1] for row in side.tolist()] for side in batch[::2])
    given = collate([Example(tuple(source), tuple(target)) for source, target in zip(*sides, strict=True)])
    return update(model, optimizer, recipe, [given], NEVER).tokens


def _decoded(model: Seq2Seq, search: Search, batch: Batch) -> int:
    mask = torch.arange(batch.source.size(1)) < batch.lengths.unsqueeze(1)
    return sum(len(best.ids) for best, *_ in search(model, batch.source, mask, weights=False))


if __name__ == "__main__":
    serve(prepare)
