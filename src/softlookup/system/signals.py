"""Handle signals that stop a run, between two training steps. No torch."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from softlookup.errors import Stopped

# Ctrl-C, termination, a closed terminal, and the signal that Slurm sends to jobs before their time limit.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2)


class Stop:
    """Turn signals into Stopped: within `listening` a signal raises it at once, within `deferred` only `check` does.

    A second signal is not deferred. After everything is written, `hand_on` calls the previous handler of the signal (a
    cluster launcher's, which requeues its job).
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._deferred = False
        self._before: dict[int, object] = {}

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle signals within the block. Only the main thread can; in other threads this does nothing."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handled = [number for number in SIGNALS if number != signal.SIGUSR2 or callable(signal.getsignal(number))]
        self._before = {number: signal.getsignal(number) for number in handled}
        self.listen()
        try:
            yield
        finally:
            for before, handler in self._before.items():
                signal.signal(before, handler)  # type: ignore[arg-type]

    def listen(self) -> None:
        """Install the signal handlers, within `listening`; call it again after other code has replaced them."""
        for number, handler in self._before.items():
            # A signal that the parent process set to be ignored stays ignored.
            if handler is not signal.SIG_IGN or number == signal.SIGTERM:
                signal.signal(number, self._handle)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Defer Stopped within the block to calls of `check` and to the end of the block."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False
        self.check()

    def check(self) -> None:
        """Raise Stopped if a signal was received."""
        if self.number is not None:
            raise Stopped(self.number)

    def hand_on(self) -> None:
        """Call the previous handler of the received signal, which may end the process."""
        handler = self._before.get(self.number or 0)
        if self.number is not None and callable(handler):
            handler(self.number, None)

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        second = self.number is not None
        self.number = number
        if second or not self._deferred:
            raise Stopped(number)
