"""The line with steps, rates and time left, told only as far as it is known."""

from __future__ import annotations

import contextlib
import sys

from embodied.records.text import duration

_MEMORY = 0.8  # Share of what is known that the next interval leaves.


class Progress:
    """Shows how far a run of so many agent steps is, or where given so many updates.

    Rates are means over the last intervals, the later ones counting more. They begin after the
    first interval with updates, which compiles; before, there is neither a rate nor a time.
    """

    def __init__(self, total: int, updates: int = 0) -> None:
        self._total, self._updates = total, updates
        self._training = False
        self._sums = [0.0, 0.0, 0.0]  # Steps, updates and seconds, older ones less and less.

    def show(
        self, step: int, updates: int, interval: tuple[int, int, float], returns: str = ""
    ) -> None:
        """Prints the line; on a terminal over the previous one.

        Args:
          step: agent steps done.
          updates: updates done.
          interval: agent steps, updates and seconds since the last time.
          returns: the last returns, as text.
        """
        if self._updates:
            parts = [f"update {updates:,}/{self._updates:,} ({updates / self._updates:.0%})"]
        else:
            parts = [f"step {step:,}/{self._total:,} ({step / self._total:.0%})"]
            parts.append(f"updates {updates:,}" if updates else "filling the replay")
        if self._training:
            self._sums = [_MEMORY * old + new for old, new in zip(self._sums, interval)]
            steps, trained, seconds = self._sums
            rate = steps / max(seconds, 1e-9)
            rates = [f"{rate:.1f} steps/s", f"{trained / max(seconds, 1e-9):.1f} updates/s"]
            parts += rates[1:] if self._updates else rates
            if rate:
                parts.append(f"ETA {duration((self._total - step) / rate)}")
        self._training = self._training or interval[1] > 0
        line = "  ".join([*parts, returns]).rstrip()
        if sys.stdout.isatty():
            print(f"\r\033[K{line}", end="" if step < self._total else "\n", flush=True)
        else:
            say(line)


def say(text: str) -> None:
    """Prints a line at once; on a terminal after clearing the progress line."""
    if sys.stdout.isatty():
        text = f"\r\033[K{text}"
    with contextlib.suppress(BrokenPipeError):
        print(text, flush=True)
