"""What a loader hands over: runs with their points, and what was wrong with the files."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

MAX_TEXT = 500
MAX_VALUE = 1e15  # of a score or a frame; sums and squares of it stay finite
UNKNOWN = -1  # episodes behind a point, where the file does not say


def printable(text: str) -> str:
    """Returns text without control characters, cut at `MAX_TEXT`: it may come from any file."""
    text = text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
    return "".join(letter if letter.isprintable() else "?" for letter in text)


@dataclasses.dataclass(frozen=True)
class Problem:
    """Something in a file that could not be used."""

    path: str
    reason: str

    def __str__(self) -> str:
        return printable(f"{self.path}: {self.reason}")


def problems_of(path: object, reasons: Sequence[str], most: int = 10) -> list[Problem]:
    """Makes the problems of one file, the first few by name and the rest by number."""
    shown = list(reasons[:most])
    if len(reasons) > most:
        shown.append(f"and {len(reasons) - most} more such faults")
    return [Problem(str(path), reason) for reason in shown]


@dataclasses.dataclass(frozen=True)
class Series:
    """Scores over training, sorted by frame."""

    frames: np.ndarray  # [P] float64, environment frames
    scores: np.ndarray  # [P] float64, finite
    episodes: np.ndarray  # [P] int64, episodes averaged in the point, or UNKNOWN

    def __len__(self) -> int:
        return len(self.frames)

    def take(self, index: slice | np.ndarray) -> Series:
        """Returns some of the points."""
        return Series(self.frames[index], self.scores[index], self.episodes[index])

    def upto(self, frame: float, after: float = -np.inf) -> Series:
        """Returns the points in (after, frame]."""
        return self.take((self.frames > after) & (self.frames <= frame))


EMPTY = Series(np.zeros(0), np.zeros(0), np.zeros(0, np.int64))


@dataclasses.dataclass(frozen=True)
class Run:
    """One seed of one method on one game."""

    method: str  # name of the column that it belongs to
    game: str  # canonical name (see `names.normalise`)
    seed: int | str  # as the file has it; integers where it can be read as one
    path: str  # the file or folder it was read from
    evals: Series = EMPTY  # one point per evaluation
    trains: Series = EMPTY  # training episodes (or bins of them)
    length: float = 0.0  # frames that its configuration planned, 0 where none tells
    # Frames by which it may end beyond its length, as `envs` need not divide it.
    overshoot: float = 0.0
    width: float = 0.0  # frames of a bin, if the training episodes come in bins
    final: bool = False  # whether it is one score at an unknown frame instead of a curve

    @property
    def curve(self) -> Series:
        """Its evaluations or, where there is none, its training episodes."""
        return self.evals if len(self.evals) else self.trains

    @property
    def reach(self) -> float:
        """The frame of its last point; 0 for a final score."""
        return float(max(self.curve.frames, default=0.0)) if not self.final else 0.0


def numbers(values: Sequence) -> np.ndarray:
    """Returns values as float64 `[len(values)]`, NaN for whatever is no number."""
    try:
        array = np.array(values, np.float64)
        if array.shape == (len(values),):
            return array
    except (TypeError, ValueError, OverflowError):
        pass
    return np.array([_number(value) for value in values], np.float64)


def _number(value: object) -> float:
    try:
        return float(value) if isinstance(value, int | float) else math.nan
    except OverflowError:
        return math.nan


def series(
    frames: Sequence, scores: Sequence, episodes: int | Sequence[int] = UNKNOWN
) -> tuple[Series, str | None]:
    """Makes a series, leaving out what is no number.

    Args:
      frames: P frames.
      scores: P scores; what is NaN, no number, or beyond `MAX_VALUE` is left out.
      episodes: for each point, or one number for all.

    Returns:
      The series sorted by frame, and what was wrong with it (None: nothing).

    Raises:
      ValueError: frames and scores differ in number.
    """
    if len(frames) != len(scores):
        raise ValueError(f"unequal steps: {len(frames)} steps but {len(scores)} scores")
    x, y = numbers(frames), numbers(scores)
    count = np.broadcast_to(np.asarray(episodes, np.int64), x.shape)
    good = (x >= 0) & (x <= MAX_VALUE) & (np.abs(y) <= MAX_VALUE)  # false for NaN, too
    points = Series(x[good], y[good], count[good])
    faults = []
    if not good.all():
        faults.append(
            f"{int((~good).sum())} of {len(good)} points are NaN, missing or absurd, left out"
        )
    if (np.diff(points.frames) < 0).any():
        faults.append("steps go backwards, sorted")
    return points.take(np.argsort(points.frames, kind="stable")), "; ".join(faults) or None


def evaluations(points: Series) -> Series:
    """Joins the episodes of one evaluation (equal frames) into one point: their mean."""
    if not len(points):
        return points
    frames, place = np.unique(points.frames, return_inverse=True)
    total = np.bincount(place, weights=points.scores)
    count = np.bincount(place, weights=points.episodes).astype(np.int64)
    unknown = np.bincount(place, weights=points.episodes == UNKNOWN) > 0
    return Series(frames, total / np.bincount(place), np.where(unknown, UNKNOWN, count))
