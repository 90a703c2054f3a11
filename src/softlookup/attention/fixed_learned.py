"""Read a learned pooling of the source at every step."""

import torch
from torch import Tensor, nn

from softlookup.attention.fixed import FixedContext
from softlookup.contract import Annotations, Normalizer, Widths
from softlookup.ranges import Size


class FixedLearned(FixedContext):
    """c = Σ_s normalize(vᵀ tanh(U h_s)) · h_s: an attention whose query is one learned vector, the same at every step.

    Lin et al. 2017 (A Structured Self-attentive Sentence Embedding), eqs. 5 and 6 with one hop. It is computed once
    per source; its pooling weights are not an alignment and are not reported as one.
    A step of training takes time O(S·D + T·D) and memory O(S·D + T·D); decoding reads a state of O(D).
    """

    def __init__(self, widths: Widths, normalizer: Normalizer, width: Size) -> None:
        super().__init__()
        self.width = widths.annotation
        self.score = nn.Sequential(
            nn.Linear(widths.annotation, width, bias=False), nn.Tanh(), nn.Linear(width, 1, bias=False)
        )
        self.normalizer = normalizer

    def summarize(self, annotations: Annotations) -> Tensor:
        scores = self.score(annotations.states).transpose(-2, -1)
        weights = self.normalizer(scores, annotations.mask.unsqueeze(-2))
        return torch.matmul(weights, annotations.states).squeeze(1)
