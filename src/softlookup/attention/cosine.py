"""Score with the cosine of query and key, scaled by one learned strength."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from softlookup.attention.dot import require_equal_widths
from softlookup.contract import History, Score


class Cosine(Score):
    """β · q · k / (‖q‖ ‖k‖).  Graves et al. 2014 (Neural Turing Machines), eqs. 5 and 6.

    A cosine lies in [-1, 1], too flat for a softmax over many positions, hence the key strength β > 0. In the paper a
    controller emits β; here it is one learned scalar, kept positive as exp(log β). Its initial value is √D, at which
    the scores of random unit-variance vectors have the spread of a scaled dot product.
    query (..., T, D), keys (..., S, D) → scores (..., T, S).
    A step of training takes time O(T·S·D) and memory O(T·D + S·D); decoding reads a state of O(S·D).
    """

    def __init__(self, query_width: int, key_width: int) -> None:
        super().__init__(query_width, key_width)
        require_equal_widths("cosine", query_width, key_width)
        self.log_strength = nn.Parameter(torch.tensor(0.5 * math.log(query_width)))

    def prepare(self, annotations: Tensor) -> Tensor:
        return F.normalize(annotations, dim=-1)

    def forward(self, query: Tensor, keys: Tensor, history: History) -> tuple[Tensor, History]:
        return self.log_strength.exp() * (F.normalize(query, dim=-1) @ keys.transpose(-2, -1)), history

    def as_dot(self, query: Tensor) -> tuple[Tensor, float]:
        return self.log_strength.exp() * F.normalize(query, dim=-1), 1.0
