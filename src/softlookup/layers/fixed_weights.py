"""Multiply by weights that stay the same during a search, in the storage order that suits few rows."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_LEAST = 16  # rows for which a copy pays: a product with one row reads a matrix either way once

# A weight is kept beside its copy, so that no other tensor can take its place in memory, which identifies it.
_copies: ContextVar[dict[Any, tuple[Tensor, Tensor]] | None] = ContextVar("copies", default=None)


@contextmanager
def fixed_weights() -> Iterator[None]:
    """Keep a transposed copy of each weight that the block multiplies by. The weights must not change within it.

    A product of few rows with a transposed view spends up to a sixth of its time on reading the matrix against its
    order of storage. The products have the same bits.
    """
    before = _copies.set({})
    try:
        yield
    finally:
        _copies.reset(before)


def transposed(weight: Tensor, rows: int) -> Tensor:
    """Return Wᵀ (..., K, N) of a weight (..., N, K), for products with this number of rows."""
    copies = _copies.get()
    if copies is None or rows < _LEAST or torch.is_grad_enabled() or weight.device.type != "cpu":
        return weight.transpose(-1, -2)
    key = weight.data_ptr(), weight.shape, weight.stride(), weight.dtype
    if key not in copies:
        copies[key] = weight, weight.transpose(-1, -2).contiguous()
    return copies[key][1]


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x (..., K), weight (N, K), bias (N,) → x Wᵀ + b (..., N)"""
    if _copies.get() is None:
        return F.linear(x, weight, bias)
    rows = x.flatten(0, -2)
    matrix = transposed(weight, len(rows))
    product = torch.mm(rows, matrix) if bias is None else torch.addmm(bias, rows, matrix)
    return product.unflatten(0, x.shape[:-1])
