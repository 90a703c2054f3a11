"""Compute additive attention without its weights by torch, in tiles: where there is no compiled kernel."""

from collections.abc import Iterator

import torch
from torch import Tensor

# Elements of a tile (B, H, t, s, D): what fits the caches of a processor, and on a GPU enough for every launch.
_ELEMENTS = {"cpu": 2**18, "cuda": 2**22}
_LONGEST = 64  # source positions of a tile


def forward(query: Tensor, keys: Tensor, vector: Tensor, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return the context and log Σ exp of the scores, as the C function of the same name."""
    keys, values = _real(keys, values, mask)
    context = query.new_zeros(*query.shape[:3], values.size(-1))
    total = query.new_zeros(query.shape[:3])
    largest = torch.full_like(total, torch.finfo(total.dtype).min)
    for t, s in _tiles(query, keys):
        _, scores = _scores(query, keys, vector, mask, t, s)
        before, now = largest[..., t], torch.maximum(largest[..., t], scores.amax(-1))
        scale, weights = (before - now).exp(), (scores - now.unsqueeze(-1)).exp()
        largest[..., t] = now
        total[..., t] = total[..., t] * scale + weights.sum(-1)
        context[..., t, :] = context[..., t, :] * scale.unsqueeze(-1) + weights @ values[..., s, :]
    empty = total == 0
    context /= total.masked_fill(empty, 1).unsqueeze(-1)
    return context, (largest + total.log()).masked_fill_(empty, 0)


def backward(
    gradient: Tensor, query: Tensor, keys: Tensor, vector: Tensor, values: Tensor, mask: Tensor, context: Tensor,
    normalizer: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """Return the gradients of query, keys, vector (B, H, D) and values, given that of the context."""
    keys, values = _real(keys, values, mask)
    to_query, to_keys, to_values = (torch.zeros_like(each) for each in (query, keys, values))
    to_vector = query.new_zeros(len(query), *vector.shape)
    mean = (gradient * context).sum(-1)
    for t, s in _tiles(query, keys):
        hidden, scores = _scores(query, keys, vector, mask, t, s)
        weights = (scores - normalizer[..., t].unsqueeze(-1)).exp()
        given = gradient[..., t, :]
        to_scores = weights * (given @ values[..., s, :].mT - mean[..., t].unsqueeze(-1))
        to_values[..., s, :] += weights.mT @ given
        to_vector += (to_scores.flatten(2).unsqueeze(2) @ hidden.flatten(2, 3)).squeeze(2)
        slope = hidden.square_().neg_().add_(1).mul_(to_scores.unsqueeze(-1)).mul_(vector[:, None, None])
        to_query[..., t, :] += slope.sum(3)
        to_keys[..., s, :] += slope.sum(2)
    return to_query, to_keys, to_vector, to_values


def _real(keys: Tensor, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return keys and values with zeros at positions that no query sees: what stands there must not matter."""
    unseen = ~mask.any(2).unsqueeze(-1)
    return keys.masked_fill(unseen, 0), values.masked_fill(unseen, 0)


def _tiles(query: Tensor, keys: Tensor) -> Iterator[tuple[slice, slice]]:
    (batch, heads, steps, width), length = query.shape, keys.size(2)
    each, most = max(1, batch * heads * width), _ELEMENTS[query.device.type]
    across = max(1, min(_LONGEST, most // each))
    down = max(1, most // (each * across))
    for t in range(0, steps, down):
        for s in range(0, length, across):
            yield slice(t, min(t + down, steps)), slice(s, min(s + across, length))


def _scores(query: Tensor, keys: Tensor, vector: Tensor, mask: Tensor, t: slice, s: slice) -> tuple[Tensor, Tensor]:
    """Return tanh(q + k) (B, H, t, s, D) of a tile, and its scores, −∞ outside the mask."""
    hidden = (query[..., t, None, :] + keys[..., None, s, :]).tanh_()
    scores = (hidden @ vector[:, None, :, None]).squeeze(-1)
    return hidden, scores.masked_fill_(~mask[..., t, s], -torch.inf)
