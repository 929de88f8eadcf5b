"""Training and held-out parts of a buffer, and the windows that lie in each."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from embodied.core.errors import UserError
from embodied.core.rng import generator
from lab.buffer import Buffer

# Whole episodes are held out unless that leaves less than this share of the steps for training.
LEAST = 0.5


@dataclasses.dataclass(frozen=True)
class Split:
    """The last part of every stream is held out; what comes before is for training."""

    # First row and the one after the last, of each stream's part for training.
    train: tuple[tuple[int, int], ...]
    held: tuple[tuple[int, int], ...]  # likewise of what is held out; both are disjoint
    episode: np.ndarray  # number of each row's episode, `[K]`
    whole: bool  # whether only whole episodes were held out

    def describe(self) -> dict[str, Any]:
        """Sizes of both parts, fit for json."""
        steps = {name: sum(b - a for a, b in getattr(self, name)) for name in ("train", "held")}
        episodes = {
            name: len({int(e) for a, b in getattr(self, name) for e in self.episode[a:b]})
            for name in ("train", "held")
        }
        return {"whole_episodes": self.whole, "steps": steps, "episodes": episodes}


def split(buffer: Buffer, share: float) -> Split:
    """Holds out the last episodes.

    Episodes are taken from the end, in the order in which they began, until they hold `share` of
    all steps. Where too little would be left, as in a buffer of one long episode, the last steps
    of every stream are held out instead.
    """
    if not 0 < share < 1:
        raise UserError(f"--holdout: expected a share between 0 and 1, got {share}")
    bounds = list(zip((0, *buffer.ends), buffer.ends))
    first = np.array(buffer.arrays["is_first"], bool)
    first[[a for a, _ in bounds]] = True
    episode = np.cumsum(first) - 1
    starts = np.flatnonzero(first)
    lengths = np.diff([*starts, buffer.size])
    stream = np.searchsorted(buffer.ends, starts, side="right")
    began = starts - np.array([a for a, _ in bounds])[stream]
    order = np.lexsort((stream, began))[::-1]
    sizes = np.cumsum(lengths[order])
    count = int(np.searchsorted(sizes, share * buffer.size)) + 1
    whole = buffer.size - sizes[count - 1] >= LEAST * buffer.size
    if whole:
        out = order[:count]
        cuts = [
            min([int(starts[e]) for e in out if stream[e] == s], default=b)
            for s, (_, b) in enumerate(bounds)
        ]
    else:
        cuts = [b - round(share * (b - a)) for a, b in bounds]
    train = tuple((a, cut) for (a, _), cut in zip(bounds, cuts))
    return Split(train, tuple((cut, b) for (_, b), cut in zip(bounds, cuts)), episode, bool(whole))


def training_starts(parts: Split, length: int) -> np.ndarray:
    """Returns the first row of every training window of `length` steps.

    Windows may cross episodes, as in training, but no streams, and touch nothing held out.
    """
    runs = [np.arange(a, max(a, b - length + 1)) for a, b in parts.train]
    starts = np.concatenate(runs)
    if not len(starts):
        longest = max(b - a for a, b in parts.train)
        raise UserError(
            f"the buffer's training part has at most {longest} steps in a row, fewer than "
            f"batch_length {length}; lower --batch_length or --holdout"
        )
    return starts


def draw(starts: np.ndarray, length: int, seed: int, update: int, batch: int) -> np.ndarray:
    """Returns rows `[B, T]` of a batch; the same for every method."""
    first = generator("analyze", seed, update).integers(0, len(starts), batch)
    return starts[first][:, None] + np.arange(length)


def windows(parts: Split, where: str, length: int, count: int) -> np.ndarray:
    """Returns rows `[W, length]` of windows inside of single episodes, evenly spread.

    Args:
      parts: of the buffer.
      where: `train` or `held`.
      length: steps of a window.
      count: at most so many windows.

    Raises:
      UserError: when no episode is long enough.
    """
    starts: list[np.ndarray] = []
    longest = 0
    for a, b in getattr(parts, where):
        episode = parts.episode[a:b]
        if len(episode):
            longest = max(longest, int(np.bincount(episode - episode[0]).max()))
            first = np.arange(a, max(a, b - length + 1))
            starts.append(first[parts.episode[first] == parts.episode[first + length - 1]])
    every = np.concatenate(starts) if starts else np.zeros(0, np.int64)
    if not len(every):
        name = {"train": "training", "held": "held-out"}[where]
        raise UserError(
            f"no {name} episode has --observed plus --predicted = {length} steps: the longest has "
            f"{longest}; lower --observed and --predicted, or change --holdout"
        )
    picks = np.unique(np.linspace(0, len(every) - 1, count).round().astype(int))
    return every[picks][:, None] + np.arange(length)
