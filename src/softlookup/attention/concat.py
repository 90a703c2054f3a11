"""Score with a perceptron over the concatenated query and key."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from softlookup.contract import History, Score
from softlookup.layers.precision import full
from softlookup.ranges import Size


class Concat(Score):
    """vᵀ tanh(W [q; k]).  Luong et al. 2015, section 3.1 (concat).  query (..., T, Q), keys (..., S, K) → (..., T, S).

    The same family of functions as the additive score (W = [W_q, W_k]). They differ in their initialization: one matrix
    has the fan-in Q + K, so both halves start smaller. The product with the keys is computed once per source.
    A step of training takes time O(T·S·D) and memory O(T·D + S·D); decoding reads a state of O(S·D).
    """

    def __init__(self, query_width: int, key_width: int, width: Size) -> None:
        super().__init__(query_width, key_width)
        self.joint = nn.Linear(query_width + key_width, width, bias=False)
        self.score = nn.Linear(width, 1, bias=False)

    def prepare(self, annotations: Tensor) -> Tensor:
        return full(F.linear(annotations, self.joint.weight[:, self.query_width :]))

    def forward(self, query: Tensor, keys: Tensor, history: History) -> tuple[Tensor, History]:
        projected, _ = self.as_perceptron(query)
        hidden = torch.tanh(projected.unsqueeze(-2) + keys.unsqueeze(-3))
        return self.score(hidden).squeeze(-1), history

    def as_perceptron(self, query: Tensor) -> tuple[Tensor, Tensor]:
        return F.linear(query, self.joint.weight[:, : self.query_width]), self.score.weight[0]
