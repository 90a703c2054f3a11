"""Multiply by a fixed matrix at every step of a loop, with one product for its gradient."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from softlookup.layers.fixed_weights import transposed
from softlookup.layers.precision import full, product_type


class LoopProduct:
    """y_t = a_t + W x_t at the steps t of a loop, each x_t known only at its step; W (..., N, K) is the same for all.

    `joined` takes the addends a of all steps before the loop, (..., B, T, M), of which N columns from `first` on belong
    to this product; the addends of a step are a slice of what it returns. ∂/∂W = Σ_t (∂/∂y_t)ᵀ x_t is then one product
    after the loop in place of one per step, since ∂/∂y_t = ∂/∂a_t. Several products may be joined to the same columns.
    W is cast once to the type of products, and what a step returns is float32 then.
    """

    def __init__(self, weight: Tensor) -> None:
        self.weight = weight
        self.type = product_type(weight)
        self._cast = weight.detach().to(self.type)
        self._inputs: list[Tensor] = []
        self._learned = torch.is_grad_enabled() and weight.requires_grad

    def joined(self, addends: Tensor, first: int = 0) -> Tensor:
        """Return the addends unchanged; their gradient will give that of W."""
        if not self._learned:
            return addends
        joined: Tensor = _Joined.apply(addends, self.weight, self._inputs, first)
        return joined

    def __call__(self, x: Tensor, addend: Tensor) -> Tensor:
        """x (..., B, K), addend (..., B, N) → addend + x Wᵀ. Called once per step, in their order."""
        factor = x.to(self.type)
        if self._learned:
            self._inputs.append(factor.detach())
        if self.type == torch.bfloat16:
            return addend + full(factor @ self._cast.transpose(-1, -2))
        add = torch.addmm if x.dim() == 2 else torch.baddbmm
        return add(addend, factor, transposed(self._cast, x.size(-2)))


class _Joined(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, addends: Tensor, weight: Tensor, inputs: list[Tensor], first: int) -> Tensor:
        ctx.inputs, ctx.columns = inputs, slice(first, first + weight.size(-2))
        return addends.view_as(addends)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        inputs = torch.stack(ctx.inputs, -2).flatten(-3, -2)
        factor = gradient[..., ctx.columns].flatten(-3, -2).to(inputs.dtype)
        return gradient, (factor.transpose(-1, -2) @ inputs).to(gradient.dtype), None, None
