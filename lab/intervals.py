"""Ratios of sums over windows and seeds, with intervals that respect what is not independent."""

from __future__ import annotations

from typing import Any

import numpy as np

RESAMPLES = 1000
LEVEL = 0.95


def ratio(
    top: np.ndarray, bottom: np.ndarray, episode: np.ndarray, resamples: int = RESAMPLES
) -> list[dict[str, Any]]:
    """Estimates sum(top) / sum(bottom) with a bootstrap over seeds and episodes.

    Windows of one episode overlap and resemble each other, so whole episodes are resampled, and,
    independently, seeds (all seeds saw the same windows). A mean is a ratio whose bottom is ones.

    Args:
      top: `[S, W, K]`: seeds, windows, K statistics.
      bottom: `[S, W, K]`, 0 or more.
      episode: `[W]`, the episode that each window lies in.
      resamples: of the bootstrap.

    Returns:
      K times `{mean, low, high}`: None where the bottom is zero, or bounds where there are
      neither two seeds nor two episodes.
    """
    _, group = np.unique(episode, return_inverse=True)
    seeds, groups = len(top), int(group.max()) + 1
    member = np.eye(groups)[group]  # [W, G]
    above = np.einsum("swk,wg->sgk", np.asarray(top, np.float64), member)
    below = np.einsum("swk,wg->sgk", np.asarray(bottom, np.float64), member)
    value = _divide(above.sum((0, 1)), below.sum((0, 1)))
    low = high = np.full(value.shape, np.nan)
    if seeds > 1 or groups > 1:
        rng = np.random.default_rng(0)
        by_seed = rng.multinomial(seeds, np.full(seeds, 1 / seeds), resamples)
        by_group = rng.multinomial(groups, np.full(groups, 1 / groups), resamples)
        drawn = _divide(
            np.einsum("rs,rg,sgk->rk", by_seed, by_group, above, optimize=True),
            np.einsum("rs,rg,sgk->rk", by_seed, by_group, below, optimize=True),
        )
        tail = (1 - LEVEL) / 2
        some = np.isfinite(drawn).any(0)
        bounds = np.full((2, len(value)), np.nan)
        bounds[:, some] = np.nanquantile(drawn[:, some], [tail, 1 - tail], axis=0)
        low, high = bounds
    return [
        {"mean": plain(v), "low": plain(a), "high": plain(b)} for v, a, b in zip(value, low, high)
    ]


def mean(values: np.ndarray, episode: np.ndarray) -> list[dict[str, Any]]:
    """Estimates means of `[S, W, K]`; see `ratio`."""
    return ratio(values, np.ones_like(values), episode)


def plain(value: float) -> float | None:
    """A number fit for json: None where it is not finite."""
    return float(value) if np.isfinite(value) else None


def _divide(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    return np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)
