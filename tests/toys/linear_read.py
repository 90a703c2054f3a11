"""A toy attention without weights: one matrix per source, read by every query."""

from dataclasses import dataclass

from torch import Tensor, nn

from softlookup.contract import Annotations, Attention, History, Memory, Reading, Widths


@dataclass(frozen=True)
class Matrix(Memory):
    """Hold Σ_s k_s v_sᵀ (B, Q, D) of each source."""

    product: Tensor


class LinearRead(Attention):
    """context_t = q_tᵀ Σ_s k_s v_sᵀ: linear attention without its normalizer (Katharopoulos et al. 2020, eq. 5)."""

    kind = "weightless"

    def __init__(self, widths: Widths) -> None:
        super().__init__()
        self.width = widths.annotation
        self.keys = nn.Linear(widths.annotation, widths.query, bias=False)

    def prepare(self, annotations: Annotations) -> Matrix:
        states = annotations.states.masked_fill(~annotations.mask.unsqueeze(-1), 0.0)
        return Matrix(self.keys(states).transpose(-2, -1) @ states)

    def forward(self, query: Tensor, memory: Memory, history: History, weights: bool = True) -> Reading:  # noqa: ARG002
        assert isinstance(memory, Matrix)
        return Reading(query @ memory.product, None, history)
