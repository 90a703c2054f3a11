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
    """Name what a weight does in a model, as far as the papers draw their first weights by it.

    A recurrent one is a square block by which a state reaches its next. Those of alignment are a score's: matrices, and
    the vector that makes a number of a hidden layer. Every other weight is an embedding, a bias or a matrix.
    """

    MATRIX = auto()
    BIAS = auto()
    EMBEDDING = auto()
    RECURRENT = auto()
    ALIGNMENT = auto()
    ALIGNMENT_VECTOR = auto()


class Initialization(ABC):
    """First weights by one rule for the whole model, in place of what its parts have drawn."""

    group: ClassVar[Group] = Group("initialization")

    @abstractmethod
    def draw(self, role: Role, weight: Tensor) -> None:
        """Fill a weight in place, by torch's generator. Gradients are off."""


class Optimizer(ABC):
    """Define how a gradient becomes a step: `rate` is the learning rate where a schedule's factor is 1, and gradients
    are clipped to the norm `clip` (None: not at all)."""

    group: ClassVar[Group] = Group("optimizer")
    rate: float
    clip: float | None

    @abstractmethod
    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """torch's optimizer of these parameters."""


class Schedule(ABC):
    """Define how the learning rate moves as the run goes on: rate · factor.

    `follows_budget` says that a factor depends on the share of the budget, and not on the step alone.
    """

    group: ClassVar[Group] = Group("schedule")
    follows_budget: bool = True

    @abstractmethod
    def factor(self, progress: float, step: int) -> float:
        """Return the share of the rate for update `step` (1 for the first), with the share `progress` of the budget
        seen."""

    def notes(self, budget: int, steps: int) -> list[str]:  # noqa: ARG002 - most fit any run
        """Return what a person should know of it before a run of `budget` target tokens, which takes about so many
        steps."""
        return []
