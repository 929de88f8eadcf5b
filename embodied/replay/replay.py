"""Replay of the last transitions of several streams, sampled in windows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from embodied.core.errors import UserError
from embodied.core.rng import generator
from embodied.core.space import Space
from embodied.replay.store import HostStore, Store


class Replay:
    """A ring of transitions for each stream (environment), drawn as windows of `length` steps.

    Windows are drawn uniformly over all complete ones; they never mix two streams and never cross
    the place where the ring is being written. They may cross the border of two episodes, which
    `is_first` marks.

    Args:
      spaces: name of each stored array and what one step holds.
      capacity: transitions kept over all streams; rounded up to a multiple of `streams`.
      streams: number of environments that write at the same time.
      length: steps T in a window.
      seed: of the draws; 0 or more.
      store: where the arrays lie; None for the host's memory.

    Raises:
      UserError: when not even one window fits into a ring.
    """

    def __init__(
        self,
        spaces: Mapping[str, Space],
        capacity: int,
        streams: int,
        length: int,
        seed: int,
        store: Store | None = None,
    ) -> None:
        self.spaces = dict(spaces)
        self.ring = ring_size(capacity, streams)
        if length < 1 or self.ring < length:
            raise UserError(
                f"replay of {capacity} steps in {streams} streams holds {self.ring} steps each, "
                f"fewer than a window of {length}; raise run.replay_size or run.steps"
            )
        self.counts = np.zeros(streams, np.int64)  # Transitions ever written to each stream.
        self.lost = np.zeros(streams, np.int64)  # So many of the first of them are not to be used.
        self.store = store or HostStore(spaces, self.ring * streams)
        self._length = length
        self._seed = seed

    @property
    def size(self) -> int:
        """Number of transitions held."""
        return int((self.counts - self._oldest()).sum())

    @property
    def windows(self) -> int:
        """Number of different windows that can be drawn."""
        return int(self._windows().sum())

    def insert(self, data: Mapping[str, np.ndarray]) -> None:
        """Appends one transition to every stream, overwriting the oldest when the ring is full.

        Args:
          data: arrays [streams, ...] under the names of `spaces`.
        """
        streams = np.arange(len(self.counts))
        self.store.write(self.positions(streams, self.counts), data)
        self.counts += 1

    def draw(self, update: int, batch: int, purpose: str = "train") -> np.ndarray:
        """Returns the positions of a batch of windows; a pure function of its arguments, the seed
        and the number of transitions written.

        Args:
          update: number of the update that will train on it.
          batch: number of windows B.
          purpose: draws for another purpose are independent of those for training.

        Returns:
          int64 [B, T].

        Raises:
          UserError: when there is no complete window.
        """
        windows = self._windows()
        if not windows.any():
            raise UserError(f"the replay of {self.size} steps has no window of {self._length}")
        chosen = generator(purpose, self._seed, update).integers(0, windows.sum(), batch)
        ends = np.cumsum(windows)
        streams = np.searchsorted(ends, chosen, side="right")
        start = (
            self._oldest()[streams] + chosen - (ends - windows)[streams]
        )  # [B], in transitions written.
        return self.positions(streams[:, None], start[:, None] + np.arange(self._length))

    def sample(self, update: int, batch: int, purpose: str = "train") -> Any:
        """Returns the batch that `draw` names, as the store gathers it."""
        return self.store.gather(self.draw(update, batch, purpose))

    def positions(self, streams: np.ndarray, number: np.ndarray) -> np.ndarray:
        """Returns where the store keeps a stream's transition of some number, counted from 0."""
        return streams * self.ring + number % self.ring

    def _windows(self) -> np.ndarray:
        return np.maximum(self.counts - self._oldest() - self._length + 1, 0)

    def _oldest(self) -> np.ndarray:
        """Returns the number of the oldest transition of each stream."""
        return np.maximum(self.counts - self.ring, self.lost)


def ring_size(capacity: int, streams: int) -> int:
    """Returns the transitions kept for each stream when `capacity` is shared by `streams`."""
    return -(-capacity // streams)
