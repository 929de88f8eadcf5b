"""Where replayed transitions lie: the host's memory."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from embodied.core.space import Space


class HostStore:
    """A `Store` of NumPy arrays in the dtype of each space, so that images stay uint8.

    The arrays are allocated at once; the operating system hands out their pages as they fill.
    """

    def __init__(self, spaces: Mapping[str, Space], capacity: int) -> None:
        self.capacity = capacity
        self._arrays = {
            name: np.zeros((capacity, *space.shape), space.dtype) for name, space in spaces.items()
        }
        self.nbytes = sum(array.nbytes for array in self._arrays.values())

    def write(self, positions: np.ndarray, data: Mapping[str, Any]) -> None:
        """Overwrites rows; see `Store.write`."""
        wanted = positions < self.capacity
        everywhere = bool(wanted.all())
        for name in self._arrays.keys() & data.keys():
            rows = np.asarray(data[name])
            self._arrays[name][positions[wanted]] = rows if everywhere else rows[wanted]

    def gather(self, index: np.ndarray, first: np.ndarray) -> dict[str, np.ndarray]:
        """Returns copies [B, T, ...]; see `Store.gather`."""
        batch = {name: array[index] for name, array in self._arrays.items()}
        if "is_first" in batch:
            batch["is_first"] |= first
        return batch

    def read(
        self, positions: np.ndarray, names: Collection[str] | None = None
    ) -> dict[str, np.ndarray]:
        """Returns copies of rows; see `Store.read`."""
        wanted = self._arrays if names is None else names
        return {name: self._arrays[name][positions] for name in wanted}
