"""Keep account of the memory and the floating-point operations of a training step, on real or on fake tensors."""

from __future__ import annotations

import weakref
from contextlib import ExitStack
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from softlookup.evaluation.flops import flops
from softlookup.system.memory import collector_off

CATEGORIES = ("weights", "gradients", "optimizer", "activations", "temporaries", "inputs")


class Ledger(TorchDispatchMode):
    """Count, within its block, the bytes of live tensors on a device by category, and floating-point operations.

    A tensor counts from the operator that returns it until its storage is freed, views count once: the sum is the
    least that any allocator needs, without its slack and without what an operator allocates and frees inside. It is
    deterministic, and the same for fake tensors, whose operators compute shapes only.

    - weights: parameters and buffers of `module`, from the start
    - gradients: of parameters, once they are accumulated
    - optimizer: the state that `optimizer` has at the start
    - activations: what operators outside the backward pass and the update return
    - temporaries: what operators in the backward pass and in the update return
    - inputs: tensors from before the block, once an operator returns a view of them

    `peak` has the bytes by category at the moment with the most bytes, `forward_flops` and `backward_flops` the
    operations outside and inside the backward pass; None after an operator that they have no formula for. `operators`
    is the number of calls, and `after` the most bytes after any call of an operator, by its name and pass.
    """

    def __init__(self, device: torch.device, module: nn.Module, optimizer: torch.optim.Optimizer | None = None) -> None:
        super().__init__()
        self._device, self._module, self._optimizer = device.type, module, optimizer
        self._live: dict[int, tuple[weakref.ref[torch.UntypedStorage], int, str]] = {}
        self._bytes = dict.fromkeys(CATEGORIES, 0)
        self._total = 0
        self._updating = False
        self._around = ExitStack()
        self.peak = dict(self._bytes)
        self._peak = 0
        self.forward_flops: int | None = 0
        self.backward_flops: int | None = 0
        self.operators = 0
        self.after: dict[tuple[str, bool], int] = {}

    def __enter__(self) -> Self:
        self._around.enter_context(collector_off())  # it frees tensors in reference cycles at arbitrary times
        for weight in (*self._module.parameters(), *self._module.buffers()):
            self._add(weight, "weights")
            if weight.grad is not None:
                self._add(weight.grad, "gradients")
        for weight in self._module.parameters():
            if weight.requires_grad:
                self._around.callback(weight.register_post_accumulate_grad_hook(self._accumulated).remove)
        if self._optimizer is not None:
            for value in tree_leaves(list(self._optimizer.state.values())):
                if isinstance(value, Tensor):
                    self._add(value, "optimizer")
            for hook in (
                self._optimizer.register_step_pre_hook(lambda *_: self._set_updating(True)),
                self._optimizer.register_step_post_hook(lambda *_: self._set_updating(False)),
            ):
                self._around.callback(hook.remove)
        self._note()
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._around.close()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = kwargs or {}
        result = func(*args, **named)
        self.operators += 1
        backward = torch._C._current_graph_task_id() != -1
        self._count(flops(func, args, named, result), backward)
        category = "temporaries" if backward or self._updating else "activations"
        aliased = (args, named) if func.is_view or func._schema.is_mutable else ()
        for tensor in (result,) if isinstance(result, Tensor) else tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._add(tensor, category, aliased)
        call = (str(func), backward)
        self.after[call] = max(self._total, self.after.get(call, 0))
        if self._total > self._peak:
            self._note()
        return result

    def figures(self) -> dict[str, int | None]:
        """Return the peak, the bytes of each category at that moment, and the operations of both passes."""
        known = self.forward_flops is not None and self.backward_flops is not None
        return {
            "peak_bytes": self._peak,
            **{f"peak_{category}": size for category, size in self.peak.items()},
            "flops": (self.forward_flops or 0) + (self.backward_flops or 0) if known else None,
            "forward_flops": self.forward_flops,
            "backward_flops": self.backward_flops,
        }

    def _count(self, found: int | None, backward: bool) -> None:
        if found == 0:
            return
        name = "backward_flops" if backward else "forward_flops"
        known = getattr(self, name)
        setattr(self, name, None if known is None or found is None else known + found)

    def _add(self, tensor: Tensor, category: str, arguments: Any = ()) -> None:
        """Count the storage of a tensor, or its new size and, for a gradient, its new category. A new storage that is
        also that of one of the `arguments` is an input."""
        if tensor.device.type != self._device:
            return
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        known = self._live.get(key)
        if known is not None:
            if known[1] == size and (category != "gradients" or known[2] == category):
                return
            self._forget(key)
            category = category if category == "gradients" else known[2]
        elif arguments and any(
            isinstance(one, Tensor) and one.untyped_storage()._cdata == key for one in tree_leaves(arguments)
        ):
            category = "inputs"
        self._live[key] = (weakref.ref(storage, lambda _: self._forget(key)), size, category)
        self._bytes[category] += size
        self._total += size

    def _forget(self, key: int) -> None:
        _, size, category = self._live.pop(key)
        self._bytes[category] -= size
        self._total -= size

    def _note(self) -> None:
        self._peak, self.peak = self._total, dict(self._bytes)

    def _accumulated(self, weight: Tensor) -> None:
        if weight.grad is not None:
            self._add(weight.grad, "gradients")

    def _set_updating(self, updating: bool) -> None:
        self._updating = updating
