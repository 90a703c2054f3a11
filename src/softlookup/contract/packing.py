"""Compute on the real positions of a padded batch only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


@dataclass(frozen=True)
class Packing:
    """Hold the places (N,) b · S + s of the N real positions of a mask (B, S), in ascending order, and the mask."""

    places: Tensor
    mask: Tensor

    @classmethod
    def of(cls, mask: Tensor) -> Packing | None:
        """Return the packing of a mask; None without padding, and on a GPU, which would have to tell N to the
        processor: the shapes of all that follows would wait for it."""
        if mask.device.type != "cpu":
            return None
        places = mask.flatten().nonzero().squeeze(1)
        return None if len(places) == mask.numel() else cls(places, mask)

    def pack(self, padded: Tensor) -> Tensor:
        """padded (B, S, D) → its real positions (N, D)"""
        packed: Tensor = _Pack.apply(padded.flatten(0, 1), self.places)
        return packed

    def pad(self, packed: Tensor) -> Tensor:
        """packed (N, D) → (B, S, D), zero on padding"""
        padded: Tensor = _Pad.apply(packed, self.places, self.mask.numel())
        return padded.unflatten(0, self.mask.shape)


def _pad(packed: Tensor, places: Tensor, rows: int) -> Tensor:
    return packed.new_zeros(rows, *packed.shape[1:]).index_copy_(0, places, packed)


class _Pack(torch.autograd.Function):
    """Select rows that differ: their gradients are copied, not added."""

    @staticmethod
    def forward(ctx: Any, padded: Tensor, places: Tensor) -> Tensor:
        ctx.places, ctx.rows = places, len(padded)
        return padded.index_select(0, places)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _pad(gradient, ctx.places, ctx.rows), None


class _Pad(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, packed: Tensor, places: Tensor, rows: int) -> Tensor:
        ctx.places = places
        return _pad(packed, places, rows)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient.index_select(0, ctx.places), None, None
