"""Score with a one-layer perceptron."""

import torch
from torch import Tensor, nn

from softlookup.contract import History, Score
from softlookup.layers.fixed_weights import linear
from softlookup.layers.precision import full
from softlookup.ranges import Size


class Additive(Score):
    """vᵀ tanh(W q + U k).  Bahdanau et al. 2014, appendix A.1.2.  query (..., T, Q), keys (..., S, K) → (..., T, S).

    `width` is that of the hidden layer (1000 in the paper). U k is computed once per source, as the paper advises.
    A step of training takes time O(T·S·D) and memory O(T·D + S·D); decoding reads a state of O(S·D).
    """

    def __init__(self, query_width: int, key_width: int, width: Size) -> None:
        super().__init__(query_width, key_width)
        self.query = nn.Linear(query_width, width, bias=False)
        self.keys = nn.Linear(key_width, width, bias=False)
        self.score = nn.Linear(width, 1, bias=False)

    def prepare(self, annotations: Tensor) -> Tensor:
        return full(self.keys(annotations))

    def forward(self, query: Tensor, keys: Tensor, history: History) -> tuple[Tensor, History]:
        hidden = torch.tanh(self.query(query).unsqueeze(-2) + keys.unsqueeze(-3))
        return self.score(hidden).squeeze(-1), history

    def as_perceptron(self, query: Tensor) -> tuple[Tensor, Tensor]:
        return linear(query, self.query.weight), self.score.weight[0]
