"""Signals that wait until work can be put down."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType
from typing import Any


class Deferred:
    """A scope in which the first signal is noted, and answered where the work asks for it: `deliver`.

    Whoever handled it before the scope does so then. A second signal is answered at once, unless it comes within
    `same` seconds: a launcher of several processes hands on what their terminal has sent to each of them. Signals
    that were ignored stay ignored. Outside the main thread, where none arrive, the scope does nothing.

    >>> with Deferred(signal.SIGINT) as signals:
    ...     signal.raise_signal(signal.SIGINT)
    ...     signals.caught == signal.SIGINT
    ...     try:
    ...         signals.deliver()
    ...     except KeyboardInterrupt:
    ...         print("now")
    True
    now
    """

    def __init__(self, *numbers: int, same: float = 0.0) -> None:
        self.numbers, self.same = numbers, same
        self._since = 0.0
        self.caught: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Deferred:
        if threading.current_thread() is threading.main_thread():
            handlers = {number: signal.getsignal(number) for number in self.numbers}
            self._before = {number: how for number, how in handlers.items() if how not in (signal.SIG_IGN, None)}
        self._defer()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._restore()
        if kind is None:
            self._hand_on()

    def deliver(self) -> None:
        """Hand a signal that was noted to whoever handled it before; if that lets the work go on, note the next."""
        if self.caught is not None:
            self._restore()
            self._hand_on()
            self._defer()

    def _hand_on(self) -> None:
        if self.caught is not None:
            number, self.caught = self.caught, None
            signal.raise_signal(number)

    def _defer(self) -> None:
        for number in self._before:
            signal.signal(number, self._note)

    def _restore(self) -> None:
        for number, how in self._before.items():
            signal.signal(number, how)

    def _note(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.caught is None:
            self.caught, self._since = number, now
        elif now - self._since >= self.same:
            self._restore()
            signal.raise_signal(number)
