"""Define additive attention without its weights as an operator of torch, with its gradients.

As an operator it works with fake tensors and torch.compile, and FLOPs are counted by formula.
"""

import ctypes
import functools
import math
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils.flop_counter import register_flop_formula

from softlookup.fused import native, tiled

_ITEMS = 16  # of work in a backward pass, at least: independent of the threads, since sums depend on it
_TILE = 16  # source positions, as in additive.c
_WORTH = 2**15  # evaluations of tanh for which several threads are started

_OPERATORS = torch.library.Library("softlookup", "DEF")
_OPERATORS.define("additive(Tensor q, Tensor k, Tensor v, Tensor x, Tensor mask) -> (Tensor, Tensor)")
_OPERATORS.define(
    "additive_backward(Tensor dc, Tensor q, Tensor k, Tensor v, Tensor x, Tensor mask, Tensor c, Tensor lse) "
    "-> (Tensor, Tensor, Tensor, Tensor)"
)


def attend(query: Tensor, keys: Tensor, vector: Tensor, values: Tensor, mask: Tensor) -> Tensor:
    """Return c_t = Σ_s softmax_s(vᵀ tanh(q_t + k_s)) x_s, without a tensor (T, S) or (T, S, D).

    query (B, H, T, D), keys (B, H, S, D), vector (H, D), values (B, H, S, V), mask broadcastable to (B, H, T, S), true
    where a query may read → context (B, H, T, V). A query that may read nothing gets zeros, and what stands at
    positions that nobody may read has no effect. Computed in float32, or in float64 if an argument is; the context has
    the precision of the values. The same bits for any number of threads. Gradients can be taken once. The weights that
    they are made of have a relative error of about |score| ε, with ε = 6e-8 in float32.

    With an online softmax over tiles of the source; the backward pass computes all scores again (Dao et al. 2022,
    section 3.1, do so for dot products).
    """
    real = torch.float32
    for each in (query, keys, vector, values):
        real = torch.promote_types(real, each.dtype)
    shape = (*query.shape[:3], keys.size(2))
    inputs = (each.to(real).contiguous() for each in (query, keys, vector, values))
    return _Additive.apply(*inputs, mask.expand(shape)).to(values.dtype)


def compiled(real: torch.dtype, device: torch.device) -> bool:
    """Return whether a compiled kernel computes in this precision on this device: in C on a CPU, in Triton on a GPU,
    there in float32 only."""
    real = torch.promote_types(real, torch.float32)
    if device.type == "cpu":
        return native.library(real) is not None
    return device.type == "cuda" and real == torch.float32 and gpu_kernels() is not None


@functools.cache
def gpu_kernels() -> ModuleType | None:
    """Return the Triton kernels, after a first use of them; None where they cannot be used, which is reported once."""
    try:
        from softlookup.fused import triton_additive

        ones = torch.ones(1, 1, 2, 3, device="cuda")
        vector, mask = ones[0, :, 0], ones[..., :2] > 0
        saved = triton_additive.forward(ones, ones, vector, ones, mask)
        triton_additive.backward(ones, ones, ones, vector, ones, mask, *saved)
    except Exception as error:  # without Triton, or without what it needs to compile
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        print(
            f"warning: Triton cannot be used ({reason}); additive attention on a GPU is computed by torch, several "
            "times slower; torch's CUDA packages bring Triton, which needs gcc",
            file=sys.stderr,
            flush=True,
        )
        return None
    return triton_additive


class _Additive(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, keys: Tensor, vector: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        context, normalizer = torch.ops.softlookup.additive(query, keys, vector, values, mask)
        ctx.save_for_backward(query, keys, vector, values, mask, context, normalizer)
        return context

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        # Summed here and not in the operator, so that what it allocates is seen where memory is tracked.
        to_query, to_keys, to_vector, to_values = torch.ops.softlookup.additive_backward(
            gradient.contiguous(), *ctx.saved_tensors
        )
        return to_query.sum(0) if len(to_query) > 1 else to_query[0], to_keys, to_vector.sum(0), to_values, None


def _parts(q: Tensor, k: Tensor) -> tuple[int, int]:
    """Return into how many parts the source is cut in the backward pass in C, and the positions of a part."""
    length = k.size(2)
    if q.device.type != "cpu" or not compiled(q.dtype, q.device) or not q.numel() or not length:
        return 1, length
    tiles = math.ceil(length / _TILE)
    wanted = min(math.ceil(_ITEMS / (q.size(0) * q.size(1))), tiles)
    each = math.ceil(tiles / wanted) * _TILE
    return math.ceil(length / each), each


def _empty(q: Tensor, k: Tensor, v: Tensor, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG001
    return q.new_empty(*q.shape[:3], x.size(3)), q.new_empty(q.shape[:3])


def _empty_gradients(dc: Tensor, q: Tensor, k: Tensor, v: Tensor, x: Tensor, *saved: Tensor) -> tuple[Tensor, ...]:  # noqa: ARG001
    parts, _ = _parts(q, k)
    to_query, to_vector = q.new_empty(parts, *q.shape), q.new_empty(parts * len(q), *v.shape)
    return to_query, torch.empty_like(k), to_vector, torch.empty_like(x)


def _forward(q: Tensor, k: Tensor, v: Tensor, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    if (form := _without_c(q)) is not None:
        context, normalizer = form.forward(q, k, v, x, mask)
        return context, normalizer
    made = _empty(q, k, v, x, mask)
    _call("forward", q, k, x, (q, k, v, x, mask), made, ())
    return made


def _backward(
    dc: Tensor, q: Tensor, k: Tensor, v: Tensor, x: Tensor, mask: Tensor, c: Tensor, lse: Tensor
) -> tuple[Tensor, ...]:
    if (form := _without_c(q)) is not None:
        to_query, *others = form.backward(dc, q, k, v, x, mask, c, lse)
        return to_query.unsqueeze(0), *others
    made = _empty_gradients(dc, q, k, v, x)
    _call("backward", q, k, x, (dc, q, k, v, x, mask), (c, lse, *made), _parts(q, k))
    return made


def _without_c(q: Tensor) -> ModuleType | None:
    """Return the module that computes for a query on this device, the Triton kernels or torch's tiles; None for C."""
    if not compiled(q.dtype, q.device):
        return tiled
    return gpu_kernels() if q.is_cuda else None


def _call(
    name: str, q: Tensor, k: Tensor, x: Tensor, until_mask: Sequence[Tensor], after: Sequence[Tensor],
    parts: tuple[int, ...],
) -> None:  # fmt: skip
    """Call a function of additive.c, whose arguments are tensors, the strides of the mask, more tensors, and sizes."""
    batch, heads, steps, width = q.shape
    threads = torch.get_num_threads() if q.numel() * k.size(2) >= _WORTH else 1
    failed = getattr(native.library(q.dtype), name)(
        *(each.data_ptr() for each in until_mask), (ctypes.c_int64 * 4)(*until_mask[-1].stride()),
        *(each.data_ptr() for each in after), batch, heads, steps, k.size(2), width, x.size(3), *parts, threads,
    )  # fmt: skip
    if failed:
        raise MemoryError("additive attention: no memory for a tile")


def _forward_flops(q: Sequence[int], k: Sequence[int], v: Any, x: Sequence[int], *rest: Any, **_: Any) -> int:  # noqa: ARG001
    """Count 2 B H T S (D + V): the products with v, and of weights with values."""
    return 2 * math.prod(q[:3]) * k[2] * (q[3] + x[3])


def _backward_flops(dc: Any, *inputs: Any, **named: Any) -> int:  # noqa: ARG001
    """Count twice those of the forward pass, as in the plain form: what is computed again is no work of the model, and
    its cost must not depend on whether there is a compiler."""
    return 2 * _forward_flops(*inputs)


for _name, _computed, _faked, _flops in (
    ("additive", _forward, _empty, _forward_flops),
    ("additive_backward", _backward, _empty_gradients, _backward_flops),
):
    for _device in ("CPU", "CUDA"):
        _OPERATORS.impl(_name, _computed, _device)
    torch.library.register_fake(f"softlookup::{_name}", _faked, lib=_OPERATORS)
    register_flop_formula(getattr(torch.ops.softlookup, _name))(_flops)
