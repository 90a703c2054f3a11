"""Count the floating-point operations of torch's operators, by formulas of torch and of our own where it has none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import flop_registry, sdpa_backward_flop_count, sdpa_flop_count

aten = torch.ops.aten


def _attention(query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> int:
    return sdpa_flop_count(query.shape, key.shape, value.shape)


def _attention_backward(grad: Tensor, query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> int:
    return sdpa_backward_flop_count(grad.shape, query.shape, key.shape, value.shape)


def _matrix_vector(matrix: Tensor, *_: Any, **__: Any) -> int:
    return 2 * matrix.numel()


def _added_matrix_vector(_added: Tensor, matrix: Tensor, *_: Any, **__: Any) -> int:
    return 2 * matrix.numel()


def _recurrent(inputs: Tensor, weights: Sequence[Tensor], *_: Any, **__: Any) -> int:
    """Each row of the input is multiplied by every matrix of every layer, gate and direction."""
    return 2 * prod(inputs.shape[:-1]) * sum(weight.numel() for weight in weights if weight.dim() == 2)


def _recurrent_backward(inputs: Tensor, weights: Sequence[Tensor], *_: Any, **__: Any) -> int:
    return 2 * _recurrent(inputs, weights)


def _layer(inputs: Tensor, weight: Tensor, recurrent: Tensor, *_: Any, **__: Any) -> int:
    """As `_recurrent`, of one layer in one direction, for oneDNN's LSTM."""
    return _recurrent(inputs, (weight, recurrent))


def _layer_backward(inputs: Tensor, weight: Tensor, recurrent: Tensor, *_: Any, **__: Any) -> int:
    return 2 * _layer(inputs, weight, recurrent)


# What torch's table of formulas lacks. cuDNN's recurrent layers with one projection per layer: proj_size is never set.
FORMULAS: dict[Any, Callable[..., int]] = {
    aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
    aten.mv: _matrix_vector,
    aten.dot: _matrix_vector,
    aten.addmv: _added_matrix_vector,
    aten._cudnn_rnn: _recurrent,
    aten._cudnn_rnn_backward: _recurrent_backward,
    aten.mkldnn_rnn_layer: _layer,
    aten.mkldnn_rnn_layer_backward: _layer_backward,
}
# Operators that multiply matrices, and have no formula: a count that leaves them out would be wrong.
UNCOUNTED = {
    aten.miopen_rnn, aten.miopen_rnn_backward, aten.addbmm, aten._addmm_activation, aten._int_mm, aten.addr, aten.vdot,
    aten._trilinear,
}  # fmt: skip
PLAIN = ("aten", "prim", "prims", "profiler")  # other operators are kernels of their own


def flops(function: Any, arguments: Sequence[Any], named: dict[str, Any], result: Any) -> int | None:
    """Return the floating-point operations of one call: 2 per multiplication and addition of a product of matrices, of
    a convolution and of fused attention; 0 for element-wise operators, as in torch's FlopCounterMode. None for an
    operator that may contain a product and has no formula."""
    operator = function._overloadpacket
    namespace, name = operator._qualified_op_name.split("::")
    if namespace == "aten" and name.endswith("_"):  # x.addmm_(a, b) takes what addmm(x, a, b) takes
        operator = getattr(aten, name.removesuffix("_"), operator)
    if operator in FORMULAS:
        return FORMULAS[operator](*arguments, **named)
    if operator in flop_registry:
        return int(flop_registry[operator](*arguments, **named, out_val=result))
    return None if operator in UNCOUNTED or function.namespace not in PLAIN else 0
