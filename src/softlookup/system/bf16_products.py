"""Compute products of bf16 matrices on a processor that has no instructions for them."""

import warnings
from functools import cache

import torch
from torch import Tensor


def native() -> bool:
    """Return whether torch multiplies bf16 matrices with instructions of this processor."""
    found: bool = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return found


@cache
def provide() -> None:
    """Have this process multiply bf16 matrices through float32, if the processor has no instructions for bf16.

    Torch's loops for such a processor take about 70 times as long as float32. The factors, which are bf16, are exact in
    float32, the sums are those of float32 and the result is rounded to bf16: the definition of the instruction, up to
    the order of a sum. Products of other types are computed as before.
    """
    if native():
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Warning only once for all operators")  # replacing a kernel is the intention
        for name, kernel in (("mm", _mm), ("bmm", _bmm), ("addmm", _addmm), ("baddbmm", _baddbmm)):
            _kernels.impl(name, kernel, "CPU")


_kernels = torch.library.Library("aten", "IMPL")

# The .out forms keep torch's kernels: a kernel below that called its own operator would call itself.


def _mm(x: Tensor, y: Tensor) -> Tensor:
    return _rounded(torch.mm, x, y, shape=(x.size(0), y.size(1)))


def _bmm(x: Tensor, y: Tensor) -> Tensor:
    return _rounded(torch.bmm, x, y, shape=(x.size(0), x.size(1), y.size(2)))


def _addmm(addend: Tensor, x: Tensor, y: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    return _rounded(torch.addmm, addend, x, y, shape=(x.size(0), y.size(1)), beta=beta, alpha=alpha)


def _baddbmm(addend: Tensor, x: Tensor, y: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    shape = (x.size(0), x.size(1), y.size(2))
    return _rounded(torch.baddbmm, addend, x, y, shape=shape, beta=beta, alpha=alpha)


def _rounded(product, *tensors: Tensor, shape: tuple[int, ...], **factors: float) -> Tensor:  # type: ignore[no-untyped-def]
    kind = tensors[-1].dtype
    if kind != torch.bfloat16:
        out: Tensor = product(*tensors, out=tensors[-1].new_empty(shape), **factors)
        return out
    wide = (tensor.float() for tensor in tensors)
    rounded: Tensor = product(*wide, out=tensors[-1].new_empty(shape, dtype=torch.float32), **factors).bfloat16()
    return rounded
