"""Where the replayed transitions lie: named arrays with one row for each position."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from embodied.core.space import Space


class Store(Protocol):
    """Rows of named arrays, written and gathered by position; the host's memory or a device's.

    Attributes:
      nbytes: bytes that the arrays take when all rows are in use.
    """

    nbytes: int

    def write(self, positions: np.ndarray, data: Mapping[str, np.ndarray]) -> None:
        """Overwrites rows.

        Args:
          positions: int64 [K], all different.
          data: one array [K, ...] for each name; not kept, the caller may change it afterwards.
        """
        ...

    def gather(self, index: np.ndarray) -> Any:
        """Returns the windows of a batch, with `is_first` set at the first step of each.

        Args:
          index: positions, int64 [B, T].

        Returns:
          What the learner trains on; from `HostStore` a dict of arrays [B, T, ...].
        """
        ...

    def read(self, positions: np.ndarray) -> dict[str, np.ndarray]:
        """Returns rows on the host.

        Args:
          positions: int64 [K].

        Returns:
          One array [K, ...] for each name.
        """
        ...


class HostStore:
    """NumPy arrays in the dtype of each space, so that images stay uint8.

    The arrays are allocated at once; the operating system hands out their pages as they fill.

    Args:
      spaces: name of each array and what one row holds.
      capacity: number of rows.
    """

    def __init__(self, spaces: Mapping[str, Space], capacity: int) -> None:
        self._arrays = {
            name: np.zeros((capacity, *space.shape), space.dtype) for name, space in spaces.items()
        }
        self.nbytes = sum(array.nbytes for array in self._arrays.values())

    def write(self, positions: np.ndarray, data: Mapping[str, np.ndarray]) -> None:
        """Overwrites rows; see `Store.write`."""
        for name, array in self._arrays.items():
            array[positions] = data[name]

    def gather(self, index: np.ndarray) -> dict[str, np.ndarray]:
        """Returns copies [B, T, ...] with `is_first` set at the first step; see `Store.gather`."""
        batch = {name: array[index] for name, array in self._arrays.items()}
        if "is_first" in batch:
            batch["is_first"][:, 0] = True
        return batch

    def read(self, positions: np.ndarray) -> dict[str, np.ndarray]:
        """Returns copies of rows; see `Store.read`."""
        return {name: array[positions] for name, array in self._arrays.items()}
