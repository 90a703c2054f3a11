"""Handle the signals that ask a run to stop, between two steps. No torch."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from softlookup.errors import Stopped

# Ctrl-C, an end asked for, a terminal that is gone, and what Slurm's jobs are sent ahead of their time limit.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2)


class Stop:
    """Inside `listening`, a signal raises Stopped at once; inside `deferred`, only `check` does.

    A second signal is not deferred. A signal that someone listened to before (a cluster's launcher, that puts its job
    back into the queue) is handed on to them by `hand_on`, when all is written.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._deferred = False
        self._before: dict[int, object] = {}

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hear the signals. Only the main thread of a process can; elsewhere this does nothing."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        heard = [number for number in SIGNALS if number != signal.SIGUSR2 or callable(signal.getsignal(number))]
        self._before = {number: signal.getsignal(number) for number in heard}
        self.listen()
        try:
            yield
        finally:
            for before, handler in self._before.items():
                signal.signal(before, handler)  # type: ignore[arg-type]

    def listen(self) -> None:
        """Take the signals, within `listening`; again where somebody else has taken them since."""
        for number, handler in self._before.items():
            # Ignored by whoever started this process: it is not for us.
            if handler is not signal.SIG_IGN or number == signal.SIGTERM:
                signal.signal(number, self._hear)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """From here to the end, wait for `check`."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False
        self.check()

    def check(self) -> None:
        """Raise Stopped if a signal was heard."""
        if self.number is not None:
            raise Stopped(self.number)

    def hand_on(self) -> None:
        """Call whoever listened before to the signal that was heard; they may end the process."""
        handler = self._before.get(self.number or 0)
        if self.number is not None and callable(handler):
            handler(self.number, None)

    def _hear(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        again = self.number is not None
        self.number = number
        if again or not self._deferred:
            raise Stopped(number)
