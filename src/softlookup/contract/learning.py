"""Define the interfaces of initialization, optimizer and schedule."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from enum import Enum, auto
from typing import ClassVar

import torch
from torch import Tensor, nn

from softlookup.group import Group


class Role(Enum):
    """Role of a weight in a model, as far as the papers' initializations depend on it.

    RECURRENT is a square block that maps a state to the next state. ALIGNMENT and ALIGNMENT_VECTOR belong to a score:
    its matrices, and the vector that maps a hidden layer to a number. All other weights are embeddings, biases or
    matrices.
    """

    MATRIX = auto()
    BIAS = auto()
    EMBEDDING = auto()
    RECURRENT = auto()
    ALIGNMENT = auto()
    ALIGNMENT_VECTOR = auto()


class Initialization(ABC):
    """Initialize all weights of a model by one rule, overriding the defaults of its modules."""

    group: ClassVar[Group] = Group("initialization")

    @abstractmethod
    def draw(self, role: Role, weight: Tensor) -> None:
        """Fill a weight in place from torch's global generator. Gradients are off."""


class Optimizer(ABC):
    """Describe an optimizer: `rate` is the learning rate at schedule factor 1; gradients are clipped to the norm `clip`
    (None: no clipping)."""

    group: ClassVar[Group] = Group("optimizer")
    rate: float
    clip: float | None

    @abstractmethod
    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Make the torch optimizer of these parameters."""


class Schedule(ABC):
    """Define the learning rate over the course of a run: rate · factor.

    `follows_budget` says that the factor depends on the consumed share of the budget, not only on the step.
    """

    group: ClassVar[Group] = Group("schedule")
    follows_budget: bool = True

    @abstractmethod
    def factor(self, progress: float, step: int) -> float:
        """Return the factor for update `step` (1 for the first) at `progress`, the consumed share of the budget."""

    def notes(self, budget: int, steps: int) -> list[str]:  # noqa: ARG002 - most schedules suit any run
        """Return notes to print before a run of `budget` target tokens, which takes about `steps` updates."""
        return []
