"""Scores over training: curves of a game, sample efficiency and performance profiles."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from scores import games, stats
from scores.load import Group
from scores.protocol import Column, limit
from scores.records import Run
from scores.stats import Estimate

BINS = 20  # of a budget: 20K frames each at 400K, the paper's spacing of evaluations
THRESHOLDS = np.linspace(0, 2.5, 101)  # of a performance profile, human-normalised


@dataclasses.dataclass(frozen=True)
class Curve:
    """Mean over seeds with a band: `[P]` each, frames at the right edge of their bin."""

    frames: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def binned(run: Run, protocol: str, frame: float) -> np.ndarray:
    """Returns a run's mean score in each of `BINS` equal bins up to `frame`, NaN where empty.

    Evaluations for the protocols that score them, training episodes for 'train-window'.
    """
    points = (run.trains if protocol == "train-window" else run.evals).upto(frame, after=0)
    # Rounded first: 0.15 * 20 must not land above 3 by its last bit.
    edge = np.ceil(np.round(points.frames / frame * BINS, 9)) if len(points) else points.frames
    place = np.clip(edge, 1, BINS).astype(int) - 1
    count = np.bincount(place, minlength=BINS)
    total = np.bincount(place, weights=points.scores, minlength=BINS)
    return np.where(count > 0, total, np.nan) / np.maximum(count, 1)


def learning_curve(
    group: Group, game: str, protocol: str, frames: float | None, band: str
) -> Curve | None:
    """Returns a game's curve over the seeds of a group, or None if it has no point.

    Args:
      group: runs of one method.
      game: canonical name.
      protocol: which points count, see `binned`.
      frames: budget; see `protocol.limit`.
      band: 'sd', standard deviation over seeds, or 'ci', 95% bootstrap interval of their mean.
    """
    runs = [run for run in group.runs if run.game == game]
    if not runs:
        return None
    end = max(limit(run, frames) for run in runs)
    values = np.stack([binned(run, protocol, end) for run in runs])  # [R, P]
    have = np.isfinite(values).any(0)
    if not have.any():
        return None
    values, edges = values[:, have], np.arange(1, BINS + 1)[have] * end / BINS
    if band == "ci":

        def points(sample: np.ndarray) -> np.ndarray:
            return np.moveaxis(stats.task_means(sample), -1, 0)

        return _curve(edges, stats.bootstrap(points, values))
    mean = np.nanmean(values, axis=0)
    spread = np.nanstd(values, axis=0)
    return Curve(edges, mean, mean - spread, mean + spread)


def efficiency(group: Group, column: Column, frames: float | None) -> Curve | None:
    """Returns the human-normalised IQM over training with its 95% interval.

    A bin counts only where every game of the group has a score in it, so that all points of the
    curve are over the same games; nothing is filled in.
    """
    rated = [game for game in games.atari100k() if game in column.games]
    if not rated:
        return None
    end = frames or games.budget()
    row = {seed: index for index, seed in enumerate(column.seeds)}
    scores = np.full((BINS, len(row), len(rated)), np.nan)
    for run in group.runs:
        if run.game in rated:
            at = row[run.seed], rated.index(run.game)
            scores[:, at[0], at[1]] = binned(run, column.protocol, end)
    scores = games.normalised(rated, scores)
    full = np.flatnonzero(np.isfinite(scores).any(1).all(1))
    if not len(full):
        return None
    found = [stats.bootstrap(lambda x: stats.iqm(x)[None], scores[index])[0] for index in full]
    return _curve((full + 1) * end / BINS, found)


def profile(column: Column) -> Curve | None:
    """Returns the share of runs above each human-normalised score, with a 95% band."""
    scores = games.normalised(column.games, column.scores)
    scores = scores[:, np.isfinite(scores).any(0)]
    if not scores.size:
        return None

    def above(sample: np.ndarray) -> np.ndarray:
        count = (~np.isnan(sample)).sum((-2, -1))
        return np.stack([(sample > level).sum((-2, -1)) / count for level in THRESHOLDS])

    return _curve(THRESHOLDS, stats.bootstrap(above, scores))


def _curve(x: np.ndarray, found: Sequence[Estimate]) -> Curve:
    mean = np.array([estimate.value for estimate in found])
    low, high = (np.array([getattr(e, side) for e in found]) for side in ("low", "high"))
    return Curve(x, mean, np.where(np.isnan(low), mean, low), np.where(np.isnan(high), mean, high))
