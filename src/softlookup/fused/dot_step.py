"""Compute one step of attention by dot products, without its weights, by a C kernel."""

import ctypes

import torch
from torch import Tensor

from softlookup.fused import native

_WORTH = 2**18  # products for which several threads are started
_WHOLE = ctypes.c_int64


def possible(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> bool:
    """Return whether `attend` computes the context of query (N, H, T, D): one step on a processor, one mask for all
    heads, one precision, and no gradients, where there is a C compiler."""
    return (
        query.size(2) == 1
        and type(query) is Tensor  # the fake tensors of a price have no data
        and (mask is None or mask.dim() < 3 or mask.size(-3) == 1)
        and query.device.type == "cpu"
        and query.dtype == keys.dtype == values.dtype
        and query.dtype in (torch.float32, torch.float64)
        and query.stride(-1) == keys.stride(-1) == values.stride(-1) == 1
        and not (torch.is_grad_enabled() and any(each.requires_grad for each in (query, keys, values)))
        and native.library(query.dtype) is not None
    )


def attend(
    query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, scale: float, rows: Tensor | None = None
) -> Tensor:
    """Return c_n = Σ_s softmax_s(scale · q_n · k_s) x_s, for one query per row and head.

    query (N, H, 1, D), keys (N, H, S, D), values (N, H, S, V), mask broadcastable to (N, 1, 1, S), true where a query
    may read, None if everywhere → context (N, H, 1, V). With `rows` (N,), keys and values have any number of rows, and
    row n reads row rows[n]: hypotheses of a sentence share its keys and values. A query that may read nothing gets
    zeros.
    """
    number, heads, _, width = query.shape
    length, wide = keys.size(2), values.size(3)
    # In this order the contexts of all heads are one row, and joining them copies nothing.
    context = query.new_empty(number, 1, heads, wide)
    seen = None if mask is None else mask.expand(number, 1, 1, length)
    index = None if rows is None else rows.contiguous()
    worth = number * heads * length * (width + wide) >= _WORTH
    library = native.library(query.dtype)
    assert library is not None
    failed = library.dot_step(
        query.data_ptr(), (_WHOLE * 2)(query.stride(0), query.stride(1)),
        keys.data_ptr(), (_WHOLE * 3)(*keys.stride()[:3]), values.data_ptr(), (_WHOLE * 3)(*values.stride()[:3]),
        None if index is None else index.data_ptr(), None if seen is None else seen.data_ptr(),
        None if seen is None else (_WHOLE * 2)(seen.stride(0), seen.stride(3)),
        context.data_ptr(), scale, number, heads, length, width, wide, torch.get_num_threads() if worth else 1,
    )  # fmt: skip
    if failed:
        raise MemoryError("attention: no memory for the scores of a row")
    return context.transpose(1, 2)
