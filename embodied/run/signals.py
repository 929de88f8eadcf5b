"""Stopping in order when asked to."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGINT)

# Seconds in which signals count as one request: the kernel repeats the signal of a parent's death
# as the threads of the parent die one after another.
_ONE_REQUEST = 1.0


class StopFlag:
    """Remembers SIGTERM or SIGINT while its `with` block runs; another, later, acts as usual.

    Outside the main thread, where signals cannot be caught, it stays silent.
    """

    def __init__(self) -> None:
        self.name: str | None = None
        self._since = 0.0
        self._before: dict[signal.Signals, Any] = {}

    def __bool__(self) -> bool:
        return self.name is not None

    def __enter__(self) -> StopFlag:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.name is None:
            self.name, self._since = signal.Signals(number).name, time.monotonic()
        elif time.monotonic() - self._since >= _ONE_REQUEST:
            self.__exit__()
            signal.raise_signal(number)
