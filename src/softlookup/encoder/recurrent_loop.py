"""Run the layers of torch's GRU and LSTM over packed sequences, with one product for the gradient of each weight.

On a processor the backward pass of torch's own loop writes a gradient of the size of all steps at every step, and adds
up the gradients of the weights step by step. On a GPU, and without gradients, torch's is the faster one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.utils.rnn import PackedSequence

from softlookup.encoder.recurrent_units import Gru, Lstm, Rows
from softlookup.layers.precision import full, product_type


def run(
    rnn: nn.GRU | nn.LSTM, packed: PackedSequence, drop: Callable[[Tensor], Tensor]
) -> tuple[PackedSequence, tuple[Tensor, ...]]:
    """Return what `rnn(packed)` does: the states, and the last states of all layers and directions (layers ·
    directions, B, D), hidden, and cell of an LSTM. `drop` applies between layers."""
    if packed.data.device.type != "cpu" or not torch.is_grad_enabled():
        states, last = rnn(packed)
        return states, last if isinstance(last, tuple) else (last,)
    rows = Rows.of(packed)
    unit = Lstm if isinstance(rnn, nn.LSTM) else Gru
    states, hidden, cells = packed.data, list[Tensor](), list[Tensor]()
    for layer in range(rnn.num_layers):
        weights = [
            getattr(rnn, f"{name}_l{layer}{direction}")
            for direction in ("", "_reverse")[: 1 + rnn.bidirectional]
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        ]
        states, cell = _Layer.apply(drop(states) if layer else states, unit, rows, *weights)
        forward, *backward = states.split(rnn.hidden_size, 1)
        hidden += [forward.index_select(0, rows.ends), *(each[: len(rows.ends)] for each in backward)]
        cells += [] if cell is None else cell.index_select(1, rows.ends).unbind(0)
    order = packed.unsorted_indices
    last = tuple(torch.stack(each) for each in (hidden, cells) if each)
    if order is not None:
        last = tuple(each.index_select(1, order) for each in last)
    return PackedSequence(states, packed.batch_sizes, packed.sorted_indices, order), last


class _Layer(torch.autograd.Function):
    """One layer in one or two directions, which run as a batch of matrices: the second reads reversed rows."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, unit: type[Gru] | type[Lstm], rows: Rows, *weights: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        by_direction = [weights[i : i + 4] for i in range(0, len(weights), 4)]
        added = unit.added(weights[1].size(1))
        projected = x.new_empty(len(by_direction), len(x), len(weights[0]))
        for place, (of_input, _, bias, recurrent) in enumerate(by_direction):
            joined = bias.clone()
            joined[:added] += recurrent[:added]
            read = x.index_select(0, rows.reversal) if place else x
            _project(read, of_input, joined, projected[place])
        kind = product_type(x)
        matrix = torch.stack([each[1].t() for each in by_direction]).to(kind)
        bias = torch.stack([each[3][added:] for each in by_direction]).unsqueeze(1)
        states, cells, saved = unit.forward(projected, matrix, bias, rows)
        ctx.unit, ctx.rows, ctx.count, ctx.added = unit, rows, len(saved), added
        ctx.save_for_backward(x, states, cells, matrix, *saved, *weights)
        ctx.set_materialize_grads(False)
        return torch.cat([states[0], *(each.index_select(0, rows.reversal) for each in states[1:])], 1), cells

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, given: Tensor | None, given_cells: Tensor | None) -> tuple[Tensor | None, ...]:
        x, states, cells, matrix, *others = ctx.saved_tensors
        saved, weights = others[: ctx.count], others[ctx.count :]
        width, rows, kind = states.size(-1), ctx.rows, matrix.dtype
        if given is None:
            given = x.new_zeros(len(x), width * len(states))
        first, *reversed_ = given.split(width, 1)
        given = torch.stack([first, *(each.index_select(0, rows.reversal) for each in reversed_)])
        products, rest, before = ctx.unit.backward(
            given, given_cells, states, cells, saved, matrix.transpose(1, 2), rows
        )
        to_matrix = full(products.to(kind).transpose(1, 2) @ before.to(kind))
        to_recurrent = products.sum(1)
        if rest is not None:
            products[..., ctx.added :] = rest
        to_bias = products.sum(1)
        to_x, gradients = None, []
        for place, factor in enumerate(products.to(kind)):
            read = x.index_select(0, rows.reversal) if place else x
            gradients += [full(factor.t() @ read.to(kind)), to_matrix[place], to_bias[place], to_recurrent[place]]
            back = full(factor @ weights[4 * place].to(kind))
            to_x = back if to_x is None else to_x.add_(back.index_select(0, rows.reversal))
        return to_x, None, None, *gradients


def _project(x: Tensor, weight: Tensor, bias: Tensor, out: Tensor) -> None:
    """Write x Wᵀ + b, from factors in the type of products, to `out`."""
    kind = product_type(x)
    if kind == out.dtype:
        torch.addmm(bias, x, weight.t(), out=out)
    else:
        torch.add(full(x.to(kind) @ weight.to(kind).t()), bias, out=out)
