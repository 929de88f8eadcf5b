"""Running means whose result does not depend on when they are saved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


class Means:
    """Means by name, summed in float64 in the order of arrival."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._sums = np.zeros(0)
        self._counts = np.zeros(0, np.int64)

    def add(self, names: Sequence[str], values: np.ndarray) -> None:
        """Adds rows of values.

        Args:
          names: [M]; a new name starts a new mean.
          values: float [U, M], added one row after the other, so that the sum does not depend on
            how the rows are spread over calls.
        """
        if not len(values):
            return
        new = [name for name in names if name not in self._names]
        if new:
            self._names += new
            self._sums = np.concatenate([self._sums, np.zeros(len(new))])
            self._counts = np.concatenate([self._counts, np.zeros(len(new), np.int64)])
        where = [self._names.index(name) for name in names]
        sums = self._sums[where]
        for row in np.asarray(values, np.float64):
            sums = sums + row
        self._sums[where] = sums
        self._counts[where] += len(values)

    def pop(self) -> dict[str, float]:
        """Returns the means in the order of their names, and starts anew."""
        means = {n: float(s / c) for n, s, c in zip(self._names, self._sums, self._counts)}
        self._names, self._sums, self._counts = [], np.zeros(0), np.zeros(0, np.int64)
        return dict(sorted(means.items()))

    def save(self) -> dict[str, Any]:
        """Returns the sums as plain data; JSON keeps every bit of them."""
        order = sorted(range(len(self._names)), key=self._names.__getitem__)
        return {
            "names": [self._names[i] for i in order],
            "sums": self._sums[order].tolist(),
            "counts": self._counts[order].tolist(),
        }

    def load(self, data: dict[str, Any]) -> None:
        """Continues from what `save` returned."""
        self._names = [str(name) for name in data["names"]]
        self._sums = np.array(data["sums"], np.float64)
        self._counts = np.array(data["counts"], np.int64)
