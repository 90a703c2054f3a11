"""A toy attention that reads K slots of the source instead of its positions."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from softlookup.contract import Annotations, Attention, History, Memory, Reading, Widths
from softlookup.normalizer.softmax import Softmax

K = 3


@dataclass(frozen=True)
class Slots(Memory):
    """Hold K contexts (B, K, D) of each source."""

    contexts: Tensor


class SlotRead(Attention):
    """context_t = Σ_k softmax(W q_t)_k · slot_k, K learned poolings as slots; its weights (B, T, K) are over slots."""

    kind = "weightless"

    def __init__(self, widths: Widths) -> None:
        super().__init__()
        self.width = widths.annotation
        self.pools = nn.Linear(widths.annotation, K, bias=False)
        self.choose = nn.Linear(widths.query, K, bias=False)

    def prepare(self, annotations: Annotations) -> Slots:
        states = annotations.states.masked_fill(~annotations.mask.unsqueeze(-1), 0.0)
        return Slots(Softmax()(self.pools(states).transpose(-2, -1), annotations.mask.unsqueeze(1)) @ states)

    def forward(self, query: Tensor, memory: Memory, history: History, weights: bool = True) -> Reading:  # noqa: ARG002
        assert isinstance(memory, Slots)
        chosen = torch.softmax(self.choose(query), -1)
        return Reading(chosen @ memory.contexts, chosen, history)
