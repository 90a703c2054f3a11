"""Define the gated units of torch's GRU and LSTM with their gradients, as loops over the steps of packed sequences.

Tensors are (directions, N, ·), N the positions of all rows, step by step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from softlookup.layers.precision import full


class Rows(NamedTuple):
    """Describe packed sequences of B rows, longest first, and N positions: the number of rows at each step, the
    permutation (N,) that reverses every row, and the last place (B,) of each row."""

    sizes: list[int]
    reversal: Tensor
    ends: Tensor

    @classmethod
    def of(cls, packed: PackedSequence) -> Rows:
        sizes = packed.batch_sizes.numpy()
        first = sizes.cumsum() - sizes
        lengths = (sizes > np.arange(sizes[0])[:, None]).sum(1)
        step = np.repeat(np.arange(len(sizes)), sizes)
        row = np.arange(len(step)) - first[step]
        places = first[lengths[row] - 1 - step] + row, first[lengths - 1] + np.arange(len(lengths))
        return cls(sizes.tolist(), *(torch.from_numpy(each).to(packed.data.device) for each in places))

    def spans(self) -> Iterator[tuple[int, int]]:
        """Yield the first place of each step, and its number of rows."""
        first = 0
        for size in self.sizes:
            yield first, size
            first += size


class Gru:
    """r, z = σ(a + U h);  n = tanh(a + r ∘ (U h + b));  h' = (1 − z) ∘ n + z ∘ h, with a = W x + b."""

    @staticmethod
    def added(width: int) -> int:
        """Return the number of gates' units whose recurrent bias is an addend like that of the input."""
        return 2 * width

    @staticmethod
    def forward(
        projected: Tensor, matrix: Tensor, bias: Tensor, rows: Rows
    ) -> tuple[Tensor, None, tuple[Tensor, Tensor]]:
        directions, count, width = len(projected), projected.size(1), matrix.size(1)
        states, candidates = (projected.new_empty(directions, count, width) for _ in range(2))
        gates = torch.empty_like(projected)
        state = projected.new_zeros(directions, rows.sizes[0], width)
        for first, size in rows.spans():
            here, before = slice(first, first + size), state[:, :size]
            product = _product(before, matrix, gates[:, here])
            both, inner = product[..., : 2 * width], product[..., 2 * width :].add_(bias)
            both.add_(projected[:, here, : 2 * width]).sigmoid_()
            addend, candidate = projected[:, here, 2 * width :], candidates[:, here]
            torch.addcmul(addend, both[..., :width], inner, out=candidate).tanh_()
            state = torch.lerp(candidate, before, both[..., width:], out=states[:, here])
        return states, None, (gates, candidates)

    @staticmethod
    def backward(
        given: Tensor, _: None, states: Tensor, __: None, saved: Sequence[Tensor], matrix: Tensor, rows: Rows
    ) -> tuple[Tensor, Tensor, Tensor]:
        gates, candidate = saved
        reset, update, inner = gates.chunk(3, -1)
        before = _before(states, rows)
        kept = 1 - update
        to_candidate = kept * (1 - candidate.square())
        # The gradients of all products with the state are multiples of that of the new state.
        factors = torch.stack(
            [to_candidate * inner * reset * (1 - reset), (before - candidate) * update * kept, to_candidate * reset], 2
        )
        products = torch.empty_like(gates)
        carried = given[:, :0]
        for first, size in reversed(list(rows.spans())):
            here = slice(first, first + size)
            of_state = given[:, here]
            of_state[:, : carried.size(1)] += carried
            torch.mul(of_state.unsqueeze(2), factors[:, here], out=products[:, here].unflatten(2, (3, -1)))
            carried = _product(products[:, here], matrix).add_(of_state * update[:, here])
        return products, given.mul_(to_candidate), before


class Lstm:
    """i, f, o = σ(a + U h);  g = tanh(a + U h);  c' = f ∘ c + i ∘ g;  h' = o ∘ tanh(c'), with a = W x + b + b."""

    @staticmethod
    def added(width: int) -> int:
        return 4 * width

    @staticmethod
    def forward(
        projected: Tensor,
        matrix: Tensor,
        _: Tensor,
        rows: Rows,
    ) -> tuple[Tensor, Tensor, tuple[Tensor]]:
        directions, count, width = len(projected), projected.size(1), matrix.size(1)
        states, cells = (projected.new_empty(directions, count, width) for _ in range(2))
        gates = torch.empty_like(projected)
        state = cell = projected.new_zeros(directions, rows.sizes[0], width)
        for first, size in rows.spans():
            here = slice(first, first + size)
            product = _product(state[:, :size], matrix, gates[:, here]).add_(projected[:, here])
            product[..., : 2 * width].sigmoid_()
            product[..., 2 * width : 3 * width].tanh_()
            product[..., 3 * width :].sigmoid_()
            enter, forget, candidate, leave = product.chunk(4, -1)
            cell = torch.addcmul(forget * cell[:, :size], enter, candidate, out=cells[:, here])
            state = torch.mul(leave, cell.tanh(), out=states[:, here])
        return states, cells, (gates,)

    @staticmethod
    def backward(
        given: Tensor,
        given_cells: Tensor | None,
        states: Tensor,
        cells: Tensor,
        saved: Sequence[Tensor],
        matrix: Tensor,
        rows: Rows,
    ) -> tuple[Tensor, None, Tensor]:
        (gates,) = saved
        enter, forget, candidate, leave = gates.chunk(4, -1)
        squashed = cells.tanh()
        to_cell = leave * (1 - squashed.square())
        # The gradients of three gates are multiples of that of the new cell, that of o of that of the new state.
        factors = torch.stack(
            [
                candidate * enter * (1 - enter),
                _before(cells, rows) * forget * (1 - forget),
                enter * (1 - candidate.square()),
            ],
            2,
        )
        to_leave = squashed * leave * (1 - leave)
        width = states.size(-1)
        products = torch.empty_like(gates)
        carried = carried_cell = given[:, :0]
        for first, size in reversed(list(rows.spans())):
            here = slice(first, first + size)
            of_state = given[:, here]
            of_state[:, : carried.size(1)] += carried
            of_cell = of_state * to_cell[:, here]
            of_cell[:, : carried.size(1)] += carried_cell
            if given_cells is not None:
                of_cell += given_cells[:, here]
            three = products[:, here, : 3 * width].unflatten(2, (3, -1))
            torch.mul(of_cell.unsqueeze(2), factors[:, here], out=three)
            torch.mul(of_state, to_leave[:, here], out=products[:, here, 3 * width :])
            carried, carried_cell = _product(products[:, here], matrix), of_cell * forget[:, here]
        return products, None, _before(states, rows)


def _product(x: Tensor, matrix: Tensor, out: Tensor | None = None) -> Tensor:
    """x (D, n, K), matrix (D, K, M) → x matrix, float32 if the matrix is bf16; written to `out`, if given"""
    if matrix.dtype == x.dtype:
        return torch.bmm(x, matrix, out=out)
    product = full(x.to(matrix.dtype) @ matrix)
    return product if out is None else out.copy_(product)


def _before(states: Tensor, rows: Rows) -> Tensor:
    """Return the states before each step, given those after it (D, N, ·)."""
    parts = [torch.zeros_like(states[:, : rows.sizes[0]])]
    for (first, _), size in zip(rows.spans(), rows.sizes[1:], strict=False):
        parts.append(states[:, first : first + size])
    return torch.cat(parts, 1)
