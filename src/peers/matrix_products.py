"""Measure the matrix products of a step alone: the time below which no step that computes them can go."""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

REPEATS = 5
aten = torch.ops.aten
_Shapes = tuple[tuple[int, int], tuple[int, int], tuple[int, int], tuple[int, int], torch.dtype]


class _Recorder(TorchDispatchMode):
    """Count the products mm and addmm within the block, by the shapes, strides and type of their factors."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[_Shapes] = Counter()

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        factors: tuple[Tensor, ...] = ()
        if operation is aten.mm.default:
            factors = args[:2]
        elif operation is aten.addmm.default:
            factors = args[1:3]
        if factors:
            left, right = factors
            self.found[left.shape, left.stride(), right.shape, right.stride(), left.dtype] += 1  # type: ignore[index]
        return operation(*args, **(kwargs or {}))


def alone(steps: Iterable[Callable[[], Any]]) -> dict[str, float]:
    """Return the seconds of `wall` and `processor` time that the matrix products of these steps take when nothing else
    is computed, and their number of floating-point operations (`flops`).

    Every product, of the forward and the backward pass, is timed with factors of its shape, strides and type: the
    fastest of several calls, times the number of its calls.
    """
    with _Recorder() as recorder:
        for step in steps:
            step()
    wall = processor = flops = 0.0
    for (left, left_stride, right, right_stride, dtype), count in recorder.found.items():
        seconds = _fastest(_drawn(left, left_stride, dtype), _drawn(right, right_stride, dtype))
        wall += count * seconds[0]
        processor += count * seconds[1]
        flops += count * 2.0 * left[0] * left[1] * right[1]
    return {"wall": wall, "processor": processor, "flops": flops}


def _drawn(shape: tuple[int, int], stride: tuple[int, int], dtype: torch.dtype) -> Tensor:
    """Return random numbers of this shape; a stride of 0 reads one number again, as in a gradient that was expanded."""
    places = 1 + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
    return torch.rand(places).to(dtype).as_strided(shape, stride)


@torch.no_grad()
def _fastest(left: Tensor, right: Tensor) -> tuple[float, float]:
    """Return the least seconds of wall and of processor time that left @ right takes."""
    torch.mm(left, right)
    taken = []
    for _ in range(REPEATS):
        start, cpu_start = time.perf_counter(), time.process_time()
        torch.mm(left, right)
        taken.append((time.perf_counter() - start, time.process_time() - cpu_start))
    return min(wall for wall, _ in taken), min(processor for _, processor in taken)
