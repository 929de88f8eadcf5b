"""Durations of the parts of a run, by a clock that never jumps."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator


class Timer:
    """Seconds spent in named sections since the last `pop`, by the monotonic clock."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def section(self, name: str) -> Iterator[None]:
        """Counts the time inside the `with` block to `name`."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - begin
            self._seconds[name] = self._seconds.get(name, 0.0) + spent

    def pop(self) -> dict[str, float]:
        """Returns seconds by section and their sum with all the rest as `total`; starts anew."""
        now = time.monotonic()
        seconds = {"total": now - self._start, **self._seconds}
        self._start, self._seconds = now, {}
        return seconds
