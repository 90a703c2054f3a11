"""Price one pass of a part at a length: predicted with tensors that have no data, or measured with real ones."""

from __future__ import annotations

import copy
import statistics
import time
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeCopyMode, FakeTensor, FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from softlookup.evaluation.ledger import Ledger
from softlookup.pricing.parts import Part

CPU = torch.device("cpu")
TIMED = 3  # passes, of which the median counts


class _FullRows(TorchDispatchMode):
    """Pack sequences of fake tensors: no row has padding, so that lengths are known without their data. A mask is true
    everywhere.

    The number of rows at each step is a real tensor, since torch's recurrent layers read it. So is the tensor that the
    unpacking writes lengths to, of integers without content, and what is computed from real tensors alone.
    """

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = kwargs or {}
        if func is torch.ops.aten._pack_padded_sequence.default:
            padded, _, batch_first = args
            rows, steps = padded.shape[:2] if batch_first else padded.shape[1::-1]
            packed = padded.new_empty(rows * steps, padded.size(-1))
            with unset_fake_temporarily():
                return packed, torch.full((steps,), rows)
        if func is torch.ops.aten.nonzero.default and isinstance(args[0], FakeTensor):
            return args[0].new_empty(args[0].numel(), args[0].dim(), dtype=torch.int64)
        given = [one for one in tree_leaves((args, named)) if isinstance(one, Tensor)]
        lengths = func is torch.ops.aten.empty.memory_format and named.get("dtype") is torch.int64
        if lengths or (given and not any(isinstance(one, FakeTensor) for one in given)):
            with unset_fake_temporarily():
                return func(*args, **named)
        return func(*args, **named)


class Prediction:
    """Predict what a pass of a part costs, without data: the module is built once."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.fake = FakeTensorMode(allow_non_fake_inputs=True)
        with FakeCopyMode(self.fake):
            self.module = copy.deepcopy(part.build())

    def at(self, length: int) -> dict[str, Any]:
        """Return the cost of a pass at a length."""
        with self.fake, _FullRows():
            return _counted(self.part, self.module, length)


class Measurement:
    """Measure what a pass of a part costs, with real tensors."""

    def __init__(self, part: Part) -> None:
        self.part, self.module = part, part.build()

    def counted(self, length: int) -> dict[str, Any]:
        """Return the cost of a pass at a length, without its time."""
        return _counted(self.part, self.module, length)

    def at(self, length: int) -> dict[str, Any]:
        """Return the cost of a pass at a length, and `seconds`, the median of passes that are not counted."""
        return self.counted(length) | {"seconds": statistics.median(self._seconds(length) for _ in range(TIMED))}

    def _seconds(self, length: int) -> float:
        self.module.zero_grad(set_to_none=True)
        inputs = self.part.inputs(self.module, length)
        began = time.perf_counter()
        self.part.take(self.module, inputs)
        return time.perf_counter() - began


def _counted(part: Part, module: nn.Module, length: int) -> dict[str, Any]:
    module.zero_grad(set_to_none=True)
    inputs = part.inputs(module, length)
    with Ledger(CPU, module) as ledger:
        memory = part.take(module, inputs)
    state = None if memory is None else memory.bytes
    return ledger.figures() | {"state_bytes": state, "operators": ledger.operators, "after": ledger.after}
