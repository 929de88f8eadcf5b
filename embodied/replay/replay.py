"""Replay of the last transitions of several streams, sampled in windows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from embodied.core.errors import UserError
from embodied.core.learner import Store
from embodied.core.rng import generator
from embodied.core.space import Space
from embodied.replay.sampling import Cursor, Episodes, Sampling, episode_steps
from embodied.replay.store import HostStore


class Replay:
    """A ring of transitions for each stream (environment), drawn as windows.

    Windows are drawn uniformly over all complete ones, or as `sampling` says; they never mix two
    streams and never cross the place where the ring is being written. They may cross the border of
    two episodes, which `is_first` marks.

    A step is named by one number for ever: its number within its stream, times the number of
    streams, plus its stream.

    Args:
      spaces: name of each stored array and what one step holds.
      capacity: transitions kept over all streams; rounded up to a multiple of `streams`.
      streams: number of environments that write at the same time.
      sampling: what a window is; a number means plain windows of so many steps.
      seed: of the draws; 0 or more.
      store: where the arrays lie; None for the host's memory.
      latents: those of `spaces` that `write_back` changes.

    Raises:
      UserError: when not even one window fits into a ring.
    """

    def __init__(
        self,
        spaces: Mapping[str, Space],
        capacity: int,
        streams: int,
        sampling: Sampling | int,
        seed: int,
        store: Store | None = None,
        latents: Collection[str] = (),
    ) -> None:
        self.spaces = dict(spaces)
        self.latents = tuple(latents)
        self.ring = ring_size(capacity, streams)
        self.sampling = sampling if isinstance(sampling, Sampling) else Sampling(sampling)
        self._item = self.sampling.item
        if self.ring < self._item:
            raise UserError(
                f"replay of {capacity} steps in {streams} streams holds {self.ring} steps each, "
                f"fewer than a window of {self._item}; raise run.replay_size or run.steps"
            )
        self.counts = np.zeros(streams, np.int64)  # Transitions ever written to each stream.
        self.lost = np.zeros(streams, np.int64)  # So many of the first of them are not to be used.
        self.cursor = Cursor()
        self._episodes = Episodes(streams)
        self.store = store or HostStore(spaces, self.ring * streams)
        if self.store.capacity < self.ring * streams:
            raise ValueError(f"a store of {self.store.capacity} for {streams} rings of {self.ring}")
        self._seed = seed

    @property
    def size(self) -> int:
        """Number of transitions held."""
        return int((self.counts - self.oldest).sum())

    @property
    def windows(self) -> int:
        """Number of different windows that can be drawn; of `episodes`, the number of episodes."""
        if self.sampling.episodes:
            return len(self._held())
        return int(self._windows().sum())

    @property
    def oldest(self) -> np.ndarray:
        """Number of the oldest transition of each stream, int64 [streams]."""
        return np.maximum(self.counts - self.ring, self.lost)

    def insert(self, data: Mapping[str, np.ndarray]) -> None:
        """Appends one transition [streams, ...] to every stream; a full ring loses its oldest."""
        streams = np.arange(len(self.counts))
        self.store.write(self.positions(streams, self.counts), data)
        if self.sampling.episodes:
            for stream, number in enumerate(self.counts):
                row = slice(stream, stream + 1)
                self._episodes.add(stream, int(number), data["is_first"][row], data["is_last"][row])
        self.counts += 1

    def note(self, stream: int, number: int, data: Mapping[str, np.ndarray]) -> None:
        """Looks for episodes in transitions [K, ...] in the store, of a stream from `number` on."""
        if self.sampling.episodes:
            self._episodes.add(stream, number, data["is_first"], data["is_last"])

    def draw(self, update: int, batch: int, purpose: str = "train") -> np.ndarray:
        """Returns the steps of a batch of windows.

        It depends on its arguments, the seed and the transitions written. Draws for training also
        move `cursor`, where there is an online queue or a window serves several updates.

        Args:
          update: number of the update that will train on it.
          batch: number of windows B.
          purpose: draws for another purpose are independent of those for training.

        Returns:
          int64 [B, C + T].

        Raises:
          UserError: when there is no complete window.
        """
        rng, sampling = generator(purpose, self._seed, update), self.sampling
        if not self.windows:
            raise UserError(f"the replay of {self.size} steps has no window of {self._item}")
        if sampling.episodes:
            return episode_steps(rng, self._held(), batch, sampling, len(self.counts))
        starts = self._starts(rng, batch)
        pieces = np.zeros(batch, np.int64)
        if purpose == "train":
            starts, pieces = self._go_on(starts)
        span = np.arange(sampling.context + sampling.length)
        return starts[:, None] + (pieces[:, None] * sampling.length + span) * len(self.counts)

    def gather(self, steps: np.ndarray) -> Any:
        """Returns the transitions of steps [B, T] as the store gives them.

        `is_first` is set at the first step of each row, and wherever a step does not follow the one
        before it; not where a row goes on with a window of which the last draw for training gave
        the piece before.
        """
        streams = len(self.counts)
        first = np.ones(steps.shape, bool)
        first[:, 0] = ~self._following(steps[:, 0])
        first[:, 1:] = steps[:, 1:] != steps[:, :-1] + streams
        return self.store.gather(self.positions(steps % streams, steps // streams), first)

    def sample(self, update: int, batch: int, purpose: str = "train") -> Any:
        """Returns the batch that `draw` names, as the store gathers it."""
        return self.gather(self.draw(update, batch, purpose))

    def write_back(self, steps: np.ndarray, data: Mapping[str, Any]) -> None:
        """Replaces what is stored with drawn steps [B, T] under names of `latents`, by [B, T, ...].

        Steps that have been overwritten meanwhile are left out. Where a step comes several times,
        the last one counts.
        """
        flat, streams = steps.reshape(-1), len(self.counts)
        stream, number = flat % streams, flat // streams
        there = number >= self.oldest[stream]
        _, newest = np.unique(flat[::-1], return_index=True)
        last = np.zeros(len(flat), bool)
        last[len(flat) - 1 - newest] = True
        positions = np.where(there & last, self.positions(stream, number), self.store.capacity)
        rows = {key: value.reshape(-1, *self.spaces[key].shape) for key, value in data.items()}
        self.store.write(positions, rows)

    def positions(self, streams: np.ndarray, number: np.ndarray) -> np.ndarray:
        """Returns where the store keeps a stream's transition of some number, counted from 0."""
        return streams * self.ring + number % self.ring

    def _starts(self, rng: np.random.Generator, batch: int) -> np.ndarray:
        """Draws the first steps of windows, uniform over all complete ones, int64 [B]."""
        windows = self._windows()
        chosen = rng.integers(0, windows.sum(), batch)
        ends = np.cumsum(windows)
        streams = np.searchsorted(ends, chosen, side="right")
        number = self.oldest[streams] + chosen - (ends - windows)[streams]
        return number * len(self.counts) + streams

    def _go_on(self, drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the windows that training goes on with, and the piece of each, int64 [B].

        Args:
          drawn: new windows, for the rows whose last one is used up or partly overwritten.
        """
        cursor, sampling, streams = self.cursor, self.sampling, len(self.counts)
        if sampling.consecutive == 1 and not sampling.online:
            return drawn, np.zeros_like(drawn)
        starts, pieces = np.full_like(drawn, -1), np.zeros_like(drawn)
        if sampling.consecutive > 1 and cursor.items.shape == drawn.shape:
            following = cursor.pieces + 1
            number = cursor.items // streams + following * sampling.length
            there = number >= self.oldest[cursor.items % streams]
            goes_on = there & (following < sampling.consecutive)
            starts = np.where(goes_on, cursor.items, -1)
            pieces = np.where(goes_on, following, 0)
        fresh = np.flatnonzero(starts < 0)
        queued = self._serve(len(fresh))
        starts[fresh] = drawn[fresh]
        starts[fresh[: len(queued)]] = queued
        if sampling.consecutive > 1:
            cursor.items, cursor.pieces = starts, pieces
        return starts, pieces

    def _following(self, starts: np.ndarray) -> np.ndarray:
        """Returns which rows, by their first steps, begin with a later piece of their window."""
        items, pieces = self.cursor.items, self.cursor.pieces
        if items.shape != starts.shape:
            return np.zeros(len(starts), bool)
        here = items + pieces * self.sampling.length * len(self.counts)
        return (pieces > 0) & (starts == here)

    def _serve(self, most: int) -> np.ndarray:
        """Takes up to so many windows from the online queue; returns their first steps.

        The queue is all windows that begin at steps 0, L, 2 L, ... of each stream, in the order in
        which they became complete.
        """
        if not self.sampling.online:
            return np.zeros(0, np.int64)
        streams, oldest = len(self.counts), int(self.oldest.max())
        self.cursor.served = max(self.cursor.served, -(-oldest // self._item) * streams)
        complete = int(self.counts.min()) // self._item * streams
        number = np.arange(self.cursor.served, min(complete, self.cursor.served + most))
        self.cursor.served += len(number)
        return number // streams * self._item * streams + number % streams

    def _held(self) -> np.ndarray:
        return self._episodes.held(self.oldest, self.sampling.shortest)

    def _windows(self) -> np.ndarray:
        return np.maximum(self.counts - self.oldest - self._item + 1, 0)


def ring_size(capacity: int, streams: int) -> int:
    """Returns the transitions kept for each stream when `capacity` is shared by `streams`."""
    return -(-capacity // streams)
