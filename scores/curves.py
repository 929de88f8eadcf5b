"""Scores over training: curves of a game, sample efficiency and performance profiles."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from scores import games, stats
from scores.budgets import slack
from scores.load import Group
from scores.protocol import Column
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
    seeds: int = 1


def binned(run: Run, protocol: str, frame: float) -> np.ndarray:
    """Returns a run's mean score in each of `BINS` equal bins up to `frame`, NaN where empty.

    Evaluations for the protocols that score them, training episodes for the others.
    """
    if "eval" in protocol:
        points = run.evals.upto(frame + slack(run, frame), after=0)
    else:
        points = run.trains.upto(frame, after=0)
    # Rounded first: 0.15 * 20 must not land above 3 by its last bit.
    edge = np.ceil(np.round(points.frames / frame * BINS, 9)) if len(points) else points.frames
    place = np.clip(edge, 1, BINS).astype(int) - 1
    count = np.bincount(place, minlength=BINS)
    total = np.bincount(place, weights=points.scores, minlength=BINS)
    return np.where(count > 0, total, np.nan) / np.maximum(count, 1)


def learning_curve(
    group: Group, game: str, column: Column, frames: float | None, band: str
) -> Curve | None:
    """Returns a game's curve over the seeds of a group, or None if it has no point.

    Args:
      group: runs of one method.
      game: canonical name.
      column: the group's; its protocol says which points count.
      frames: where curves end; None: at the budget of Atari, at the group's own end elsewhere.
      band: 'sd', standard deviation over seeds, or 'ci', 95% bootstrap interval of their mean.
    """
    runs = [run for run in group.runs if run.game == game]
    if not runs:
        return None
    end = frames or (
        column.budgets.get(game, 0.0)
        if game in games.atari100k()
        else max(max([0.0, *run.evals.frames[-1:], *run.trains.frames[-1:]]) for run in runs)
    )
    if not end:
        return None
    values = np.stack([binned(run, column.protocol, end) for run in runs])  # [R, P]
    have = np.isfinite(values).any(0)
    if not have.any():
        return None
    values, edges = values[:, have], np.arange(1, BINS + 1)[have] * end / BINS
    if band == "ci":
        return _curve(edges, stats.bootstrap(stats.each_task, values), len(runs))
    mean = np.nanmean(values, axis=0)
    spread = np.nanstd(values, axis=0)
    return Curve(edges, mean, mean - spread, mean + spread, len(runs))


def efficiency(group: Group, column: Column, frames: float | None) -> Curve | None:
    """Returns the human-normalised IQM over training with its 95% interval.

    A bin counts only where every game of the group has a score in it, so that all points of the
    curve are over the same games; nothing is filled in.
    """
    rated = [game for game in games.atari100k() if game in column.games]
    if not rated:
        return None
    end = frames or max(column.budgets.get(game, games.budget()) for game in rated)
    row = {seed: index for index, seed in enumerate(column.seeds)}
    scores = np.full((BINS, len(row), len(rated)), np.nan)
    for run in group.runs:
        if run.game in rated:
            scores[:, row[run.seed], rated.index(run.game)] = binned(run, column.protocol, end)
    scores = games.normalised(rated, scores)
    full = np.flatnonzero(np.isfinite(scores).any(1).all(1))
    if not len(full):
        return None
    points = [stats.bootstrap(lambda x: stats.iqm(x)[None], scores[index])[0] for index in full]
    return _curve((full + 1) * end / BINS, points, len(row))


def profile(column: Column) -> Curve | None:
    """Returns the share of runs above each human-normalised score, with a 95% band."""
    scores = games.normalised(column.games, column.scores)
    scores = scores[:, np.isfinite(scores).any(0)]
    if not scores.size:
        return None

    def above(sample: np.ndarray) -> np.ndarray:
        count = (~np.isnan(sample)).sum((-2, -1))
        return np.stack([(sample > level).sum((-2, -1)) / count for level in THRESHOLDS])

    return _curve(THRESHOLDS, stats.bootstrap(above, scores), len(column.seeds))


def _curve(x: np.ndarray, points: Sequence[Estimate], seeds: int) -> Curve:
    mean, low, high = np.array([(each.value, each.low, each.high) for each in points]).T
    low, high = (np.where(np.isnan(side), mean, side) for side in (low, high))
    return Curve(x, mean, low, high, seeds)
