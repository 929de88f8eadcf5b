"""Statistics of `[runs, tasks]` scores, after Agarwal et al. 2021 (rliable).

Runs are resampled within each task (stratified bootstrap), all resamples at once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping

import numpy as np

RESAMPLES = 2000
LEVEL = 0.95
MAX_ELEMENTS = 4_000_000  # of one chunk of resamples: bounds memory for any shape


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A statistic and its 95% percentile bootstrap interval; NaN bounds: no interval."""

    value: float
    low: float = np.nan
    high: float = np.nan

    def __str__(self) -> str:
        if not np.isfinite(self.value):
            return "–"
        text = f"{self.value:.3f}"
        return f"{text} [{self.low:.2f}, {self.high:.2f}]" if np.isfinite(self.low) else text


def task_means(scores: np.ndarray) -> np.ndarray:
    """Means over the runs that exist: `[..., R, T]` -> `[..., T]`."""
    return np.nansum(scores, -2) / (~np.isnan(scores)).sum(-2)


def each_task(scores: np.ndarray) -> np.ndarray:
    """Means of tasks as the statistics of `bootstrap`: `[..., R, T]` -> `[T, ...]`."""
    return np.moveaxis(task_means(scores), -1, 0)


def mean(scores: np.ndarray) -> np.ndarray:
    """Mean over tasks of the means over runs: `[..., R, T]` -> `[...]`."""
    return task_means(scores).mean(-1)


def median(scores: np.ndarray) -> np.ndarray:
    """Median over tasks of the means over runs: `[..., R, T]` -> `[...]`."""
    return np.median(task_means(scores), axis=-1)


def iqm(scores: np.ndarray) -> np.ndarray:
    """Interquartile mean: mean of the middle half of all runs of all tasks, `[...]`."""
    flat = np.sort(scores.reshape(*scores.shape[:-2], -1), axis=-1)  # NaN goes last
    count = int((~np.isnan(flat)).sum(-1).max())
    cut = int(0.25 * count)
    return flat[..., cut : count - cut].mean(-1)


def optimality_gap(scores: np.ndarray) -> np.ndarray:
    """How far runs fall short of human level (1.0), nothing gained above it: `[...]`."""
    return 1.0 - task_means(np.minimum(scores, 1.0)).mean(-1)


AGGREGATES: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "mean": mean,
    "median": median,
    "iqm": iqm,
    "optimality_gap": optimality_gap,
}


def _every(scores: np.ndarray) -> np.ndarray:
    return np.stack([aggregate(scores) for aggregate in AGGREGATES.values()])


def resamples(
    scores: np.ndarray, rng: np.random.Generator, count: int, chunk: int
) -> Iterator[np.ndarray]:
    """Yields `count` stratified resamples of runs, `[chunk, R, T]` at most at a time.

    `scores` are `[R, T]`, NaN where a task has fewer runs; every task has at least one.
    """
    order = np.argsort(np.isnan(scores), axis=0, kind="stable")
    runs = np.take_along_axis(scores, order, axis=0)  # runs first, then NaN
    have = (~np.isnan(runs)).sum(0)
    absent = np.isnan(runs)
    for start in range(0, count, chunk):
        size = (min(chunk, count - start), *runs.shape)
        index = (rng.random(size) * have).astype(np.intp)
        draw = runs[index, np.arange(runs.shape[1])]
        yield np.where(absent, np.nan, draw)


def bootstrap(
    statistic: Callable[..., np.ndarray], *samples: np.ndarray, count: int = RESAMPLES
) -> list[Estimate]:
    """Estimates statistics of one or two sets of runs with 95% intervals.

    Args:
      statistic: maps arrays `[..., R, T]` (one for each sample) to `[K, ...]`: K statistics.
      *samples: `[R, T]` each; every task of each has at least one run. A sample of one row
        (published means) does not vary.
      count: resamples.

    Returns:
      K estimates. Without variation in any sample (one run each) they have no interval.
    """
    values = np.asarray(statistic(*samples))
    if all((np.isfinite(sample).sum(0) < 2).all() for sample in samples):
        return [Estimate(float(value)) for value in values]
    rng = np.random.default_rng(0)  # the same intervals each time that a table is printed
    elements = sum(sample.size for sample in samples) + np.prod([len(s) for s in samples]) * max(
        sample.shape[1] for sample in samples
    )
    chunk = max(1, int(MAX_ELEMENTS // elements))
    draws = [resamples(sample, rng, count, chunk) for sample in samples]
    results = np.concatenate([np.asarray(statistic(*draw)) for draw in zip(*draws)], axis=-1)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(results, [tail, 1 - tail], axis=-1)
    return [Estimate(float(v), float(a), float(b)) for v, a, b in zip(values, low, high)]


def aggregates(scores: np.ndarray, count: int = RESAMPLES) -> dict[str, Estimate]:
    """Estimates every one of `AGGREGATES` on human-normalised scores `[R, T]`.

    A missing run is NaN; tasks without any are left out, and without any task all are NaN.
    """
    scores = scores[:, np.isfinite(scores).any(0)]
    if not scores.size:
        return {name: Estimate(np.nan) for name in AGGREGATES}
    return dict(zip(AGGREGATES, bootstrap(_every, scores, count=count)))


def aggregate_differences(
    a: np.ndarray, b: np.ndarray, count: int = RESAMPLES
) -> dict[str, Estimate]:
    """Estimates aggregate(b) - aggregate(a) for every one of `AGGREGATES`.

    Both are human-normalised scores of the same tasks, `[R, T]`, each with runs.
    """
    changes = bootstrap(lambda x, y: _every(y) - _every(x), a, b, count=count)
    return dict(zip(AGGREGATES, changes))


def improvement(a: np.ndarray, b: np.ndarray, count: int = RESAMPLES) -> Estimate:
    """Estimates the probability that a run of b beats a run of a on the same task.

    Scores are `[R, T]`, of any scale, of the same tasks; ties count half.
    """

    def probability(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        before, after = x[..., :, None, :], y[..., None, :, :]
        wins = (after > before) + 0.5 * (after == before)
        pairs = (~np.isnan(x)).sum(-2) * (~np.isnan(y)).sum(-2)
        return (wins.sum((-3, -2)) / pairs).mean(-1)[None]

    return bootstrap(probability, a, b, count=count)[0]
