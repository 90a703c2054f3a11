"""The fixed contexts' common ground: one vector per source, the same at every target step."""

from abc import abstractmethod

from torch import Tensor

from softlookup.contract import Annotations, Attention, History, Memory, Reading


class FixedContext(Attention):
    """context_t = summary(annotations) for every t. It has no weights, hence no alignment."""

    @abstractmethod
    def summarize(self, annotations: Annotations) -> Tensor:
        """The one context (B, width) of each source."""

    def prepare(self, annotations: Annotations) -> Memory:
        summary = self.summarize(annotations).unsqueeze(1)
        return Memory(summary, summary, annotations.mask[:, :1])

    def forward(self, query: Tensor, memory: Memory, history: History) -> Reading:
        return Reading(memory.values.expand(-1, query.size(1), -1), None, history)
