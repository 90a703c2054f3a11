"""Keep losses and times of training steps on the device until they are read."""

import time
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor

MOST = 20  # steps that a GPU takes before their losses are read

_Moment: TypeAlias = float | torch.cuda.Event


@dataclass
class _Step:
    loss: float | Tensor
    tokens: int
    times: list[_Moment]


@dataclass
class UnreadSteps:
    """Hold the last steps. On a processor they are read one by one; a GPU computes them while the processor prepares
    later ones, and reading, at most every `MOST` steps, waits for it.

    The seconds of a step on a GPU are those between its begin and its end on the device.
    """

    _steps: list[_Step] = field(default_factory=list)
    _started: _Moment = 0.0

    def __len__(self) -> int:
        return len(self._steps)

    def start(self, device: torch.device) -> None:
        """Take the time before a step."""
        self._started = _moment(device)

    def add(self, loss: float | Tensor, tokens: int) -> None:
        """Add a step: its mean loss, a scalar of the device if it is not known yet, and its target tokens."""
        self._steps.append(_Step(loss, tokens, [self._started]))

    def stop(self, device: torch.device) -> None:
        """Take the time after the step that was added last."""
        self._steps[-1].times.append(_moment(device))

    @property
    def full(self) -> bool:
        """Return whether to read: there are `MOST` steps, or nothing has to be waited for."""
        return len(self._steps) >= MOST or any(not isinstance(step.loss, Tensor) for step in self._steps)

    def read(self) -> list[tuple[float, int, float]]:
        """Return loss, tokens and seconds of the steps in their order, and forget them."""
        steps, self._steps = self._steps, []
        unknown = [step.loss for step in steps if isinstance(step.loss, Tensor)]
        known = iter(torch.stack(unknown).tolist() if unknown else [])
        losses = [next(known) if isinstance(step.loss, Tensor) else step.loss for step in steps]
        return [(loss, step.tokens, _seconds(*step.times)) for loss, step in zip(losses, steps, strict=True)]


def _moment(device: torch.device) -> _Moment:
    if device.type != "cuda":
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def _seconds(begin: _Moment, end: _Moment) -> float:
    if isinstance(begin, float) and isinstance(end, float):
        return end - begin
    assert isinstance(begin, torch.cuda.Event)
    assert isinstance(end, torch.cuda.Event)
    end.synchronize()
    return begin.elapsed_time(end) / 1e3
