"""Which windows a replay gives, and the small part of that which has to be remembered."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from embodied.core import ranges
from embodied.core.errors import UserError


@dataclasses.dataclass(frozen=True)
class Sampling:
    """What a window is.

    Args:
      length: steps T that an update trains on.
      context: steps C before them, whose stored latents begin the window.
      consecutive: updates that train on one long window, piece after piece; the pieces overlap by
        the context.
      online: give every new window of each stream once, before windows of any age.
      episodes: draw an episode, then a window inside it; only finished episodes, each with the
        same chance however long it is.
      ends: with `episodes`, prefer their ends: starts are drawn from `minlen` values more, and
        those beyond the last window count as the last.
      minlen: with `episodes`, steps of the shortest episode that is used; 0 for those of a window.
        Shorter ones than a window are joined, and `is_first` marks the joints.

    Raises:
      UserError: for what does not go together.
    """

    length: int
    context: int = 0
    consecutive: int = 1
    online: bool = False
    episodes: bool = False
    ends: bool = False
    minlen: int = 0

    def __post_init__(self) -> None:
        counts = {"length": ranges.COUNT, "consecutive": ranges.COUNT}
        counts |= dict.fromkeys(("context", "minlen"), ranges.COUNT_OR_NONE)
        ranges.check(self, counts)
        if self.episodes and (self.online or self.consecutive > 1):
            raise UserError(
                "run.replay_episodes True draws finished episodes: expected run.replay_online "
                "False and run.consec_train 1"
            )
        if (self.ends or self.minlen) and not self.episodes:
            raise UserError("run.replay_ends and run.replay_minlen need run.replay_episodes True")
        if self.context > self.length:
            raise UserError(
                f"run.replay_context must be at most the window's {self.length} steps, got "
                f"{self.context}"
            )

    @property
    def item(self) -> int:
        """Steps of a whole window, all its pieces and the context."""
        return self.context + self.consecutive * self.length

    @property
    def shortest(self) -> int:
        """Steps of the shortest episode that is used."""
        return min(self.minlen or self.item, self.item)


@dataclasses.dataclass
class Cursor:
    """What draws depend on beside seed, update and the transitions written.

    Args:
      served: windows of the online queue that have had their turn.
      items: first step of each row's long window, int64 [B]; empty before the first draw.
      pieces: which piece of it came last, int64 [B].
    """

    served: int = 0
    items: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.int64))
    pieces: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.int64))

    def save(self) -> dict[str, Any]:
        """Returns plain data for `load`."""
        return {
            "served": self.served,
            "items": self.items.tolist(),
            "pieces": self.pieces.tolist(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Continues from what `save` returned."""
        self.served = int(state["served"])
        self.items = np.array(state["items"], np.int64)
        self.pieces = np.array(state["pieces"], np.int64)


class Episodes:
    """The finished episodes that a replay holds, in the order in which they ended.

    Nothing of this is saved: the flags of the transitions tell it again.
    """

    def __init__(self, streams: int) -> None:
        self._begin = [0] * streams  # First step of the running episode; -1 where it is not known.
        self._next = [0] * streams
        self._rows: list[tuple[int, int, int]] = []
        self._table: np.ndarray | None = None  # The same as an array, made when it is asked for.

    def add(self, stream: int, number: int, is_first: np.ndarray, is_last: np.ndarray) -> None:
        """Takes flags [K] of transitions that follow one another in a stream, from `number` on."""
        if not len(is_last):
            return
        if number != self._next[stream]:  # What comes between is lost.
            self._begin[stream] = number if is_first[0] else -1
        self._next[stream] = number + len(is_last)
        for end in np.flatnonzero(is_last):
            first, last = self._begin[stream], number + int(end)
            self._begin[stream] = last + 1
            if first >= 0:
                self._rows.append((stream, first, last + 1 - first))
                self._table = None

    def held(self, oldest: np.ndarray, shortest: int) -> np.ndarray:
        """Returns the episodes whose steps are all there: stream, first step, length, int64 [K, 3].

        All steps from `oldest` of each stream on are; episodes need `shortest` steps to count.
        """
        if self._table is None:
            self._rows.sort(key=_end)
            self._table = np.array(self._rows, np.int64).reshape(-1, 3)
        there = self._table[:, 1] >= oldest[self._table[:, 0]]
        if not there.all():  # What is overwritten never comes back.
            self._rows = [row for row, stays in zip(self._rows, there) if stays]
            self._table = self._table[there]
        return self._table[self._table[:, 2] >= shortest]


def _end(row: tuple[int, int, int]) -> tuple[int, int]:
    """Sorts episodes by when they ended, and streams at the same step."""
    stream, first, length = row
    return first + length, stream


def episode_steps(
    rng: np.random.Generator, episodes: np.ndarray, batch: int, sampling: Sampling, streams: int
) -> np.ndarray:
    """Draws windows inside episodes.

    Args:
      rng: the generator of this draw.
      episodes: those of `Episodes.held`, at least one.
      batch: windows B.
      sampling: which.
      streams: number of streams.

    Returns:
      Steps, int64 [B, T]. What is drawn is one row of B·T steps, cut into windows: the rest of an
      episode's piece that a window's end cuts opens the next window.
    """
    length = sampling.item
    pieces: list[np.ndarray] = []
    count = 0
    while count < batch * length:
        stream, first, total = episodes[rng.integers(len(episodes))]
        size = min(total, length)
        last = total - size  # Start of the last window.
        start = min(rng.integers(last + 1 + (sampling.shortest if sampling.ends else 0)), last)
        pieces.append((first + start + np.arange(size)) * streams + stream)
        count += size
    return np.concatenate(pieces)[: batch * length].reshape(batch, length)
