"""The search of a run: a stand-in with the interface of the group `search`, until that group is here.

To replace it: `Hypothesis` and `Search` come from softlookup.search, and `search_of` keeps its signature.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor

from softlookup.config import build, composed
from softlookup.errors import UserError
from softlookup.offer import groups, no_such_key
from softlookup.parts import check_part, part_of
from softlookup.search import greedy
from softlookup.seq2seq import Seq2Seq
from softlookup.vocabulary import PAD


@dataclass(frozen=True)
class Hypothesis:
    """A translation found: ids (EOS if it ended), log p, score, and weights (T, S) or None."""

    ids: list[int]
    log_probability: float
    score: float
    weights: np.ndarray | None


Search = Callable[[Seq2Seq, Tensor, Tensor, bool], list[list[Hypothesis]]]


@torch.no_grad()
def _greedy(model: Seq2Seq, source: Tensor, mask: Tensor, keep: bool = True) -> list[list[Hypothesis]]:
    tokens, weights = greedy(model, source, mask)
    memory, state = model.encode(source, mask)
    found = []
    logs = torch.zeros(len(tokens), dtype=torch.float64)
    inputs = torch.full_like(tokens[:, :1], 1)
    for t in range(tokens.size(1)):
        logits, _, state = model.step(inputs, memory, state)
        inputs = tokens[:, t : t + 1]
        step = logits.log_softmax(-1).gather(1, inputs).squeeze(1).cpu().double()
        logs += torch.where(inputs.squeeze(1).cpu() == PAD, 0.0, step)
    for b, row in enumerate(tokens.tolist()):
        ids = [token for token in row if token != PAD]
        own = None if weights is None or not keep else weights[b, : len(ids), : int(mask[b].sum())].cpu().numpy()
        found.append([Hypothesis(ids, float(logs[b]), float(logs[b]), own)])
    return found


def search_of(config: dict[str, Any], asked: dict[str, str]) -> Search:
    """The search of a run's config, with what `asked` (search=NAME, search.KEY=VALUE) changes.

    Raises UserError for another search than there is, a key that it does not have, and a value that does not fit.
    """
    if "search" not in groups():
        if asked:
            raise UserError(f"{next(iter(asked))}: greedy search writes one translation and has no keys")
        return _greedy
    name = asked.get("search")
    node = (
        composed([f"search={name}"] if name else [])["search"] if name or "search" not in config else config["search"]
    )
    node = dict(node)
    for key, value in asked.items():
        if key != "search":
            if key.partition(".")[2] not in node:
                raise no_such_key(key)
            node[key.partition(".")[2]] = yaml.safe_load(value)
    check_part("search", node, part_of("search"))
    search: Search = build(node)
    return search
