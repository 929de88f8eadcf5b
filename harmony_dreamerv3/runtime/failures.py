"""Which learners have failed, and which loss of theirs was not finite."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class Failures:
    """Remembers the first loss that was not finite, by member."""

    def __init__(self, size: int) -> None:
        self._reasons: list[str | None] = [None] * size

    def look(self, names: Sequence[str], values: np.ndarray) -> None:
        """Looks for losses and gradient norms that are not finite, in an update's `[N, M]`."""
        for index in np.flatnonzero(~np.isfinite(values).all(-1)):
            bad = [n for n, v in zip(names, values[index]) if not np.isfinite(v)]
            # What a learner dies of; the weights of a method, say, are only looked at.
            fatal = [name for name in bad if name.startswith(("loss/", "grad_norm/"))]
            if fatal and self._reasons[index] is None:
                self._reasons[index] = min(fatal, key=_origin)

    def missing(self, alive: np.ndarray) -> bool:
        """Returns whether one of `[N]` members is dead of what was not found yet."""
        return any(self._reasons[index] is None for index in np.flatnonzero(~alive))

    def reasons(self, alive: np.ndarray) -> list[str | None]:
        """Returns for each of `[N]` members None, or what it died of."""
        for index in np.flatnonzero(~alive):  # It had failed before its state was saved.
            self._reasons[index] = self._reasons[index] or "of an earlier update"
        return list(self._reasons)


def _origin(name: str) -> tuple[bool, bool, str]:
    """Sorts names so that what others derive from comes first."""
    derived = ("loss/model", "loss/actor", "loss/critic")
    return (not name.startswith("loss/"), name in derived, name)
