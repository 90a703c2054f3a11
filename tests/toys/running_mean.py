"""A toy mixer without weights: every position reads the mean of what it may read."""

import torch
from torch import Tensor, nn

from softlookup.contract import History, SequenceMixer


class RunningMean(SequenceMixer):
    """y_t = W (1/n Σ_s x_s): over all n real positions without a past, over the past and itself with one.

    Average attention in small (Zhang, Xiong and Su 2018, eq. 1). The past is a sum and a count.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.merge = nn.Linear(width, width, bias=False)

    def begin(self, stream: Tensor) -> History:
        return {"sum": stream.new_zeros(len(stream), 1, stream.size(-1)), "count": stream.new_zeros(len(stream), 1, 1)}

    def forward(self, stream: Tensor, mask: Tensor, past: History | None) -> tuple[Tensor, History | None]:
        if past is None:
            real = stream.masked_fill(~mask.unsqueeze(-1), 0.0)
            mean = real.sum(1, keepdim=True) / mask.sum(1).clamp(min=1)[:, None, None]
            return self.merge(mean).expand_as(stream), None
        total = past["sum"] + stream.cumsum(1)
        count = past["count"] + torch.arange(1, stream.size(1) + 1, device=stream.device)[None, :, None]
        return self.merge(total / count), {"sum": total[:, -1:], "count": count[:, -1:].to(stream)}
