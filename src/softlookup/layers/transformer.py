"""Define the modules of Transformer layers: sublayers, feed-forward, embedding."""

import torch
from torch import Tensor, nn

from softlookup.errors import UserError
from softlookup.layers.dropout import Drop


class Sublayers(nn.Module):
    """Residual connections, dropout and layer normalization around `count` sublayers of a stream x.

    norm=after: LayerNorm(x + Dropout(Sublayer(x))), as in Vaswani et al. 2017, section 3.1. norm=before:
    x + Dropout(Sublayer(LayerNorm(x))), as in the code of the Annotated Transformer, which trains without a long
    warm-up. Raises UserError for another norm; `part` is the config group that the message names.
    """

    def __init__(self, count: int, width: int, norm: str, dropout: float, part: str) -> None:
        super().__init__()
        if norm not in ("before", "after"):
            raise UserError(f"{part}.norm={norm}: expected before or after (the sublayer that it belongs to)")
        self.before = norm == "before"
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(count))
        self.dropout = Drop(dropout)

    def enter(self, stream: Tensor, place: int) -> Tensor:
        """Return the input of sublayer number `place`."""
        return self.norms[place](stream) if self.before else stream

    def leave(self, stream: Tensor, output: Tensor, place: int) -> Tensor:
        """Return the stream after sublayer number `place`, given the sublayer's `output`."""
        summed = stream + self.dropout(output)
        return summed if self.before else self.norms[place](summed)


class FeedForward(nn.Sequential):
    """max(0, x W₁ + b₁) W₂ + b₂.  Vaswani et al. 2017, eq. 2."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__(nn.Linear(width, inner), nn.ReLU(), nn.Linear(inner, width))
        for linear in (self[0], self[2]):
            nn.init.xavier_uniform_(linear.weight)  # type: ignore[arg-type]
            nn.init.zeros_(linear.bias)  # type: ignore[arg-type]


def embedding(vocabulary: int, width: int, padding: int) -> nn.Embedding:
    """Make embeddings with standard deviation D^−½.

    Their users multiply them by √D (Vaswani et al. 2017, section 3.4), which gives unit variance; unscaled they are
    small enough to serve as output layer too.
    """
    vectors = nn.Embedding(vocabulary, width, padding_idx=padding)
    with torch.no_grad():
        vectors.weight.mul_(width**-0.5)
    return vectors
