"""Read the maximum of each unit over the source at every step."""

import torch
from torch import Tensor

from softlookup.attention.fixed import FixedContext
from softlookup.contract import Annotations, Widths


class FixedMax(FixedContext):
    """c_d = max_s h_{s,d} over real positions (max pooling; Collobert & Weston 2008, section 3.3).

    A step of training takes time O(S·D + T·D) and memory O(S·D + T·D); decoding reads a state of O(D).
    """

    def __init__(self, widths: Widths) -> None:
        super().__init__()
        self.width = widths.annotation

    def summarize(self, annotations: Annotations) -> Tensor:
        lowest = torch.finfo(annotations.states.dtype).min
        largest = annotations.states.masked_fill(~annotations.mask.unsqueeze(-1), lowest).amax(1)
        return largest * annotations.mask.any(1, keepdim=True)
