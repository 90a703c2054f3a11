"""Compute the loss of an output layer and its gradients in one pass, without keeping the logits."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from softlookup.layers.precision import product_type

# Logits that are in memory at a time (16 MB in float32), but of at least so many positions.
LOGITS, LEAST = 2**22, 64


def scaled_loss(
    readout: Tensor, weight: Tensor, bias: Tensor, places: Tensor, target: Tensor, smoothing: float, scale: float
) -> Tensor:
    """Return −c Σ_n [(1 − ε) log p_n(y_n) + ε/V Σ_v log p_n(v)] with p_n = softmax(W r_n + b), a scalar; c = `scale`.

    readout (B, T, R); places (N,) the positions b · T + t that count; target (N,) their tokens y_n; ε = `smoothing`.
    Logits are computed for a chunk of positions at a time, together with the gradients of all inputs, which the
    backward pass returns: the peak of memory does not grow with V · B · T.
    """
    loss: Tensor = _ScaledLoss.apply(readout, weight, bias, places, target, smoothing, scale)
    return loss


def _logits(read: Tensor, matrix: Tensor, bias: Tensor) -> Tensor:
    """Return W r + b, from factors in bf16 as a sum in float32."""
    if matrix.dtype == bias.dtype:
        return torch.addmm(bias, read, matrix.t())
    return torch.mm(read, matrix.t()) + bias


def _value_and_gradient(logits: Tensor, wanted: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
    """Return the loss of logits (N, V), a scalar, and its gradient softmax − (1 − ε) δ − ε/V; wanted (N, 1)."""
    gradient = logits.softmax(1)
    # log Σ_v exp z_v = max z − log max p, since max p = 1 / Σ_v exp(z_v − max z): each exponential is computed once.
    normalizers = logits.amax(1) - gradient.amax(1).log()
    value = (1 - smoothing) * (normalizers - logits.gather(1, wanted).squeeze(1)).sum()
    gradient.scatter_(1, wanted, gradient.gather(1, wanted) - (1 - smoothing))
    if smoothing:
        share = smoothing / logits.size(1)
        value += share * (logits.size(1) * normalizers - logits.sum(1)).sum()
        gradient -= share
    return value, gradient


class _ScaledLoss(torch.autograd.Function):
    """Compute the gradients in the forward pass: ∂/∂logits = softmax − (1 − ε) δ − ε/V."""

    @staticmethod
    def forward(
        ctx: Any,
        readout: Tensor,
        weight: Tensor,
        bias: Tensor,
        places: Tensor,
        target: Tensor,
        smoothing: float,
        scale: float,
    ) -> Tensor:
        rows = readout.flatten(0, 1)
        vocabulary = len(weight)
        kind = product_type(weight)
        matrix = weight.to(kind)
        d_rows, d_weight, d_bias = torch.zeros_like(rows), torch.zeros_like(weight), torch.zeros_like(bias)
        loss = weight.new_zeros(())
        chunk = max(LEAST, LOGITS // vocabulary)
        for some, wanted in zip(places.split(chunk), target.unsqueeze(1).split(chunk), strict=True):
            read = rows.index_select(0, some).to(kind)
            value, d_logits = _value_and_gradient(_logits(read, matrix, bias), wanted, smoothing)
            loss += value
            # The factor goes to the smaller sides of the products.
            d_bias += d_logits.sum(0) * scale
            d_product = d_logits.to(kind)
            d_rows.index_copy_(0, some, (d_product @ matrix).to(rows.dtype).mul_(scale))
            if kind == weight.dtype:
                d_weight.addmm_(d_product.t(), read * scale)
            else:  # chunks are summed in float32
                d_weight += d_product.t() @ (read * scale)
        ctx.save_for_backward(d_rows.view_as(readout), d_weight, d_bias)
        return loss * scale

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, further: Tensor) -> tuple[Tensor | None, ...]:
        # Usually nothing follows the loss; comparing on a GPU would make the processor wait.
        same = further.device.type == "cpu" and further.item() == 1
        gradients = ctx.saved_tensors if same else [gradient * further for gradient in ctx.saved_tensors]
        return *gradients, None, None, None, None
