"""Choose the kernel that computes the context of a softmax attention without its weights."""

from collections.abc import Callable, Sequence
from typing import TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from softlookup.contract import Normalizer, Score
from softlookup.fused import additive, dot_step

Form = TypeVar("Form")

# Measured on a CPU, forward and backward: with several queries and fewer keys than this, torch's fused kernel is up to
# 15 % slower than products and a softmax.
_KEYS = 24
# Scores × width for which tiles in torch are worth more operations than the plain form, by the memory that they save.
_ELEMENTS = 2**22


def context(
    scores: Sequence[Score],
    normalizer: Normalizer,
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    mask: Tensor | None,
    *,
    causal: bool = False,
    rows: Tensor | None = None,
) -> Tensor | None:
    """Return Σ_s softmax_s(score(query_t, key_s)) · value_s, the context (B, H, T, V); None where the plain form,
    which computes the weights, is the only one or the faster one.

    `scores` of all heads, or one for all of them; query (B, H, T, Q), prepared keys (B, H, S, K), values (B, H, S, V),
    mask broadcastable to (B, H, T, S), None if everything is visible; or, for T = S and `causal`, positions up to that
    of the query: dot products then need no mask of T·S elements. With `rows` (B,), row b of the query reads row rows[b]
    of keys and values, which may have fewer or more rows; None unless that needs no copy of them.

    A score that says so (`Score.as_dot`, `Score.as_perceptron`) is computed by torch's scaled_dot_product_attention,
    a single step of dot products without gradients by `dot_step.attend`, or by `additive.attend`. The choice
    depends on shapes, device and gradients only.
    """
    if not normalizer.is_softmax or scores[0].stepwise:
        return None
    if _dot_pays(query, keys, values):
        dots = _by_head(scores, query, lambda score, part: score.as_dot(part))
        if dots is not None:
            vectors, scale = _joined([vectors for vectors, _ in dots]), dots[0][1]
            if dot_step.possible(vectors, keys, values, mask):
                return dot_step.attend(vectors, keys, values, mask, scale, rows)
            if rows is None:
                return F.scaled_dot_product_attention(
                    vectors, keys, values, attn_mask=mask, scale=scale, is_causal=causal
                )
    if rows is None and _perceptron_pays(query, keys):
        perceptrons = _by_head(scores, query, lambda score, part: score.as_perceptron(part))
        if perceptrons is not None:
            vectors = _joined([vectors for vectors, _ in perceptrons])
            last = [last.unsqueeze(0) for _, last in perceptrons]
            vector = (last[0] if len(last) == 1 else torch.cat(last)).expand(vectors.size(1), -1)
            if mask is None:
                size = (query.size(-2), keys.size(-2)) if causal else ()
                mask = torch.ones(size, dtype=torch.bool, device=query.device)
                mask = mask.tril() if causal else mask
            return additive.attend(vectors, keys, vector, values, mask)
    return None


def _by_head(scores: Sequence[Score], query: Tensor, form: Callable[[Score, Tensor], Form | None]) -> list[Form] | None:
    """Return the form of each score for its part of the query; None if they have none."""
    parts = [query] if len(scores) == 1 else query.unbind(1)
    found = [form(score, part) for score, part in zip(scores, parts, strict=True)]
    return None if found[0] is None else cast(list[Form], found)


def _joined(heads: list[Tensor]) -> Tensor:
    return heads[0] if len(heads) == 1 else torch.stack(heads, 1)


def _dot_pays(query: Tensor, keys: Tensor, values: Tensor) -> bool:
    """Torch's fused kernels need one width; with two it computes the weights itself."""
    if keys.size(-1) != values.size(-1):
        return False
    return query.is_cuda or query.size(-2) == 1 or keys.size(-2) >= _KEYS


def _perceptron_pays(query: Tensor, keys: Tensor) -> bool:
    elements = query.shape[:-1].numel() * keys.size(-2) * keys.size(-1)
    return elements >= _ELEMENTS or additive.compiled(query.dtype, query.device)
