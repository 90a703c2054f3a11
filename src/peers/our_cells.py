"""Benchmark cells of softlookup: models built from configs, with the same search as an evaluation.

The four cells of the peers, and two for a second recurrent decoder.
"""

from typing import Any

import torch
from serve import Cell, serve

from softlookup.config.build import build_model
from softlookup.config.resolve import composed
from softlookup.runs.provenance import collect
from softlookup.search.beam import Beam
from softlookup.search.greedy import Greedy
from softlookup.search.search import Search
from softlookup.text.vocabulary import EOS

MODELS = {
    "rnn": ["attention=additive", "encoder=gru", "decoder=bahdanau"],
    "rnn (luong)": ["attention=additive", "encoder=gru", "decoder=luong"],
    "transformer": ["attention=scaled_dot", "encoder=transformer", "decoder=transformer"],
}


def _sizes(work: dict[str, Any], name: str) -> list[str]:
    size = work[name.partition(" ")[0]]
    if name == "transformer":
        keys = {"width": "model", "feed_forward": "feed_forward", "layers": "blocks"}
        both = [f"{group}.{key}={size[own]}" for group in ("encoder", "decoder") for key, own in keys.items()]
        return [f"attention.heads={size['heads']}", f"mixer.heads={size['heads']}", *both]
    embedding = [f"{group}.embedding={size['embedding']}" for group in ("encoder", "decoder")]
    widths = [f"encoder.width={size['encoder']}", f"decoder.width={size['decoder']}"]
    # The readout of decoder=luong always has the width of its state.
    readout = [f"decoder.readout={size['decoder']}"] if name == "rnn" else []
    return [*embedding, *widths, *readout, f"attention.score.width={size['decoder']}"]


def prepare(work: dict[str, Any]) -> tuple[dict[str, Cell], dict[str, int], str]:
    limit = (0.0, work["steps"])
    searches: dict[str, Search] = {"greedy": Greedy(*limit), "beam": Beam(work["beam"], 0.0, 0.0, 1, *limit)}
    cells: dict[str, Cell] = {}
    parameters = {}
    for name, choices in MODELS.items():
        config = composed([*choices, *_sizes(work, name), "tracking=disabled"])
        model = build_model(config, work["sources"], work["targets"])
        parameters[name] = sum(p.numel() for p in model.parameters())
        with torch.no_grad():
            model.output.bias[EOS] = -torch.inf
        for kind, search in searches.items():

            def cell(source: torch.Tensor, lengths: torch.Tensor, model: Any = model, search: Search = search) -> int:
                mask = torch.arange(source.size(1)) < lengths.unsqueeze(1)
                return sum(len(best.ids) for best, *_ in search(model, source, mask, weights=False))

            cells[f"{name} {kind}"] = cell
    return cells, parameters, f"softlookup {collect().get('commit') or 'without a commit'}"


if __name__ == "__main__":
    serve(prepare)
