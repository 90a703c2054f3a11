"""Define the base class of fixed contexts: one vector per source, the same at every target step."""

from abc import abstractmethod
from dataclasses import dataclass

from torch import Tensor

from softlookup.contract import Annotations, Attention, History, Memory, Reading


@dataclass(frozen=True)
class Summary(Memory):
    """Hold the context (B, D) of each source."""

    context: Tensor


class FixedContext(Attention):
    """Return context_t = summary(annotations) for every t. There are no weights, hence no alignment."""

    kind = "fixed"

    @abstractmethod
    def summarize(self, annotations: Annotations) -> Tensor:
        """Return the context (B, width) of each source."""

    def prepare(self, annotations: Annotations) -> Summary:
        return Summary(self.summarize(annotations))

    def forward(self, query: Tensor, memory: Memory, history: History, weights: bool = True) -> Reading:  # noqa: ARG002
        assert isinstance(memory, Summary)
        return Reading(memory.context.unsqueeze(1).expand(-1, query.size(1), -1), None, history)
