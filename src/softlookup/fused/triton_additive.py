"""Compute additive attention without its weights in Triton, on a GPU; the equations are those of additive.c.

A program computes the context of a few queries, over all source positions, and keeps a tile tanh(q_t + k_s) (t, s, D)
in registers. The backward pass computes all scores twice more: once by queries, for the gradients of query and vector,
and once by source positions, for those of keys and values. No program writes where another one writes, so that sums
have a fixed order; what is stored is linear in T + S. float32.
"""

from contextlib import nullcontext
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

# Elements of a tile (t, s, D), 16 for each thread of the 4 warps of a program.
_ELEMENTS = 2048
_VARYING = ["steps", "length", "mask_b", "mask_h", "mask_t", "mask_s"]  # not a reason to compile again
_LOWEST = tl.constexpr(torch.finfo(torch.float32).min)
# tanh(x) ≈ x p(x²) / q(x²), and ±1 beyond the limit: the rational function of Eigen's ptanh_float.
_LIMIT = tl.constexpr(7.9053111)


def forward(query: Tensor, keys: Tensor, vector: Tensor, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return the context and log Σ exp of the scores, as `tiled.forward`."""
    context, normalizer = query.new_empty(*query.shape[:3], values.size(3)), query.new_empty(query.shape[:3])
    _launch(_forward, query, keys, query.size(2), 0, (query, keys, vector, values, mask), (context, normalizer))
    return context, normalizer


def backward(
    gradient: Tensor, query: Tensor, keys: Tensor, vector: Tensor, values: Tensor, mask: Tensor, context: Tensor,
    normalizer: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """Return the gradients of query, keys, vector (B, H, D) and values, as `tiled.backward`."""
    to_query, to_keys, to_values = torch.empty_like(query), torch.empty_like(keys), torch.empty_like(values)
    batch, heads, steps, width = query.shape
    parts = triton.cdiv(steps, _tile(steps, width, values.size(3))[0])
    to_vector = query.new_empty(batch, heads, parts, width)
    inputs = (query, keys, vector, values, mask)
    saved = (gradient, (gradient * context).sum(-1), normalizer)
    _launch(_by_queries, query, keys, steps, 0, inputs, (*saved, to_query, to_vector))
    _launch(_by_positions, query, keys, keys.size(2), 1, inputs, (*saved, to_keys, to_values))
    return to_query, to_keys, to_vector.sum(2), to_values


def _tile(steps: int, width: int, read: int) -> tuple[int, int]:
    """Return the queries and the source positions of a tile: one query where a decoder takes one step at a time."""
    pairs = max(1, _ELEMENTS // triton.next_power_of_2(max(width, read)))
    queries: int = triton.next_power_of_2(max(1, min(steps, int(pairs**0.5))))
    return queries, pairs // queries


def _launch(
    kernel: Any, query: Tensor, keys: Tensor, rows: int, side: int, inputs: tuple[Tensor, ...],
    others: tuple[Tensor, ...],
) -> None:  # fmt: skip
    """Start a program for every block of `rows`: queries, or source positions if `side` is 1."""
    *tensors, values, mask = inputs
    batch, heads, steps, width = query.shape
    tile = _tile(steps, width, values.size(3))
    programs = batch * heads * triton.cdiv(rows, tile[side])
    if not programs:
        return
    with torch.cuda.device(query.device) if query.is_cuda else nullcontext():
        kernel[(programs,)](
            *tensors, values, mask.view(torch.uint8), *others, *mask.stride(), heads, steps, keys.size(2), width,
            values.size(3), triton.next_power_of_2(width), triton.next_power_of_2(values.size(3)), *tile, num_warps=4,
        )  # fmt: skip


@triton.jit
def _tanh(x):  # type: ignore[no-untyped-def]
    x = tl.where(x > _LIMIT, _LIMIT, tl.where(x < -_LIMIT, -_LIMIT, x))  # unlike minimum and maximum, keeps NaN
    z = x * x
    p = -2.76076847742355e-16
    p = p * z + 2.00018790482477e-13
    p = p * z - 8.60467152213735e-11
    p = p * z + 5.12229709037114e-08
    p = p * z + 1.48572235717979e-05
    p = p * z + 6.37261928875436e-04
    p = p * z + 4.89352455891786e-03
    q = 1.19825839466702e-06
    q = q * z + 1.18534705686654e-04
    q = q * z + 2.26843463243900e-03
    q = q * z + 4.89352518554385e-03
    return x * p / q


@triton.jit
def _rows(matrix, rows, count, width, WIDTH: tl.constexpr):  # type: ignore[no-untyped-def]  # noqa: N803
    """Load rows (·, WIDTH) of a matrix (count, width), zero outside of it."""
    columns = tl.arange(0, WIDTH)
    inside = (rows[:, None] < count) & (columns[None, :] < width)
    return tl.load(matrix + rows[:, None] * width + columns[None, :], mask=inside, other=0.0)


@triton.jit
def _store(matrix, rows, count, width, WIDTH: tl.constexpr, found):  # type: ignore[no-untyped-def]  # noqa: N803
    columns = tl.arange(0, WIDTH)
    inside = (rows[:, None] < count) & (columns[None, :] < width)
    tl.store(matrix + rows[:, None] * width + columns[None, :], found, mask=inside)


@triton.jit
def _visible(mask, queries, steps, positions, length, mask_t, mask_s):  # type: ignore[no-untyped-def]
    """Load a tile (t, s) of the mask, false outside of it."""
    inside = (queries[:, None] < steps) & (positions[None, :] < length)
    return tl.load(mask + queries[:, None] * mask_t + positions[None, :] * mask_s, mask=inside, other=0) != 0


@triton.jit
def _seen(visible, rows):  # type: ignore[no-untyped-def]
    """Return the rows (s, ·) of a tile with zeros at positions that no query sees: they may hold anything."""
    return tl.where((tl.max(visible.to(tl.int32), 0) > 0)[:, None], rows, 0.0)


@triton.jit(do_not_specialize=_VARYING)
def _forward(  # type: ignore[no-untyped-def]
    query, keys, vector, values, mask, context, normalizer, mask_b, mask_h, mask_t, mask_s, heads, steps, length, width,
    read, WIDTH: tl.constexpr, READ: tl.constexpr, QUERIES: tl.constexpr, POSITIONS: tl.constexpr,  # noqa: N803
):  # fmt: skip
    blocks = tl.cdiv(steps, QUERIES)
    pair = (tl.program_id(0) // blocks).to(tl.int64)  # batch and head
    queries = (tl.program_id(0) % blocks).to(tl.int64) * QUERIES + tl.arange(0, QUERIES)
    keys, values = keys + pair * length * width, values + pair * length * read
    mask += (pair // heads) * mask_b + (pair % heads) * mask_h
    q = _rows(query + pair * steps * width, queries, steps, width, WIDTH)
    columns = tl.arange(0, WIDTH)
    v = tl.load(vector + (pair % heads) * width + columns, mask=columns < width, other=0.0)
    largest = tl.full([QUERIES], _LOWEST, tl.float32)
    total = tl.zeros([QUERIES], tl.float32)
    found = tl.zeros([QUERIES, READ], tl.float32)
    for first in range(0, length, POSITIONS):
        positions = first + tl.arange(0, POSITIONS).to(tl.int64)
        visible = _visible(mask, queries, steps, positions, length, mask_t, mask_s)
        k = _seen(visible, _rows(keys, positions, length, width, WIDTH))
        x = _seen(visible, _rows(values, positions, length, read, READ))
        scores = tl.sum(_tanh(q[:, None, :] + k[None, :, :]) * v[None, None, :], 2)
        scores = tl.where(visible, scores, -float("inf"))
        now = tl.maximum(largest, tl.max(scores, 1))
        scale, weights = tl.exp(largest - now), tl.exp(scores - now[:, None])
        total = total * scale + tl.sum(weights, 1)
        found = found * scale[:, None] + tl.sum(weights[:, :, None] * x[None, :, :], 1)
        largest = now
    empty = total == 0
    found /= tl.where(empty, 1.0, total)[:, None]
    _store(context + pair * steps * read, queries, steps, read, READ, found)
    logarithm = tl.where(empty, 0.0, largest + tl.log(tl.where(empty, 1.0, total)))
    tl.store(normalizer + pair * steps + queries, logarithm, mask=queries < steps)


@triton.jit
def _of_scores(q, k, v, x, dc, mean, lse, visible):  # type: ignore[no-untyped-def]
    """Return tanh(q + k) (t, s, D), the weights (t, s), and the gradient of the scores (t, s)."""
    hidden = _tanh(q[:, None, :] + k[None, :, :])
    scores = tl.sum(hidden * v[None, None, :], 2)
    weights = tl.where(visible, tl.exp(scores - lse[:, None]), 0.0)
    given = tl.sum(dc[:, None, :] * x[None, :, :], 2)
    return hidden, weights, weights * (given - mean[:, None])


@triton.jit(do_not_specialize=_VARYING)
def _by_queries(  # type: ignore[no-untyped-def]
    query, keys, vector, values, mask, gradient, means, normalizer, to_query, to_vector, mask_b, mask_h, mask_t, mask_s,
    heads, steps, length, width, read, WIDTH: tl.constexpr, READ: tl.constexpr, QUERIES: tl.constexpr,  # noqa: N803
    POSITIONS: tl.constexpr,  # noqa: N803
):  # fmt: skip
    blocks = tl.cdiv(steps, QUERIES)
    pair = (tl.program_id(0) // blocks).to(tl.int64)
    queries = (tl.program_id(0) % blocks).to(tl.int64) * QUERIES + tl.arange(0, QUERIES)
    keys, values = keys + pair * length * width, values + pair * length * read
    mask += (pair // heads) * mask_b + (pair % heads) * mask_h
    q = _rows(query + pair * steps * width, queries, steps, width, WIDTH)
    dc = _rows(gradient + pair * steps * read, queries, steps, read, READ)
    mean = tl.load(means + pair * steps + queries, mask=queries < steps, other=0.0)
    lse = tl.load(normalizer + pair * steps + queries, mask=queries < steps, other=0.0)
    columns = tl.arange(0, WIDTH)
    v = tl.load(vector + (pair % heads) * width + columns, mask=columns < width, other=0.0)
    dq = tl.zeros([QUERIES, WIDTH], tl.float32)
    dv = tl.zeros([WIDTH], tl.float32)
    for first in range(0, length, POSITIONS):
        positions = first + tl.arange(0, POSITIONS).to(tl.int64)
        visible = _visible(mask, queries, steps, positions, length, mask_t, mask_s)
        k = _seen(visible, _rows(keys, positions, length, width, WIDTH))
        x = _seen(visible, _rows(values, positions, length, read, READ))
        hidden, _, of_scores = _of_scores(q, k, v, x, dc, mean, lse, visible)
        dq += tl.sum(of_scores[:, :, None] * (1.0 - hidden * hidden), 1)
        dv += tl.sum(tl.sum(of_scores[:, :, None] * hidden, 1), 0)
    _store(to_query + pair * steps * width, queries, steps, width, WIDTH, dq * v[None, :])
    tl.store(to_vector + tl.program_id(0).to(tl.int64) * width + columns, dv, mask=columns < width)


@triton.jit(do_not_specialize=_VARYING)
def _by_positions(  # type: ignore[no-untyped-def]
    query, keys, vector, values, mask, gradient, means, normalizer, to_keys, to_values, mask_b, mask_h, mask_t, mask_s,
    heads, steps, length, width, read, WIDTH: tl.constexpr, READ: tl.constexpr, QUERIES: tl.constexpr,  # noqa: N803
    POSITIONS: tl.constexpr,  # noqa: N803
):  # fmt: skip
    blocks = tl.cdiv(length, POSITIONS)
    pair = (tl.program_id(0) // blocks).to(tl.int64)
    positions = (tl.program_id(0) % blocks).to(tl.int64) * POSITIONS + tl.arange(0, POSITIONS)
    query, gradient = query + pair * steps * width, gradient + pair * steps * read
    mask += (pair // heads) * mask_b + (pair % heads) * mask_h
    every_k = _rows(keys + pair * length * width, positions, length, width, WIDTH)
    every_x = _rows(values + pair * length * read, positions, length, read, READ)
    columns = tl.arange(0, WIDTH)
    v = tl.load(vector + (pair % heads) * width + columns, mask=columns < width, other=0.0)
    dk = tl.zeros([POSITIONS, WIDTH], tl.float32)
    dx = tl.zeros([POSITIONS, READ], tl.float32)
    for first in range(0, steps, QUERIES):
        queries = first + tl.arange(0, QUERIES).to(tl.int64)
        visible = _visible(mask, queries, steps, positions, length, mask_t, mask_s)
        q = _rows(query, queries, steps, width, WIDTH)
        dc = _rows(gradient, queries, steps, read, READ)
        mean = tl.load(means + pair * steps + queries, mask=queries < steps, other=0.0)
        lse = tl.load(normalizer + pair * steps + queries, mask=queries < steps, other=0.0)
        hidden, weights, of_scores = _of_scores(
            q, _seen(visible, every_k), v, _seen(visible, every_x), dc, mean, lse, visible
        )
        dk += tl.sum(of_scores[:, :, None] * (1.0 - hidden * hidden), 0)
        dx += tl.sum(weights[:, :, None] * dc[:, None, :], 0)
    _store(to_keys + pair * length * width, positions, length, width, WIDTH, dk * v[None, :])
    _store(to_values + pair * length * read, positions, length, read, READ, dx)
