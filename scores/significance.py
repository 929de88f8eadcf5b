"""Tests of one game's seeds: Welch's t and the exact permutation test, with Holm's correction."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from scores.stats import LEVEL

TESTS: Mapping[str, str] = {
    "welch": "Welch t-test",
    "permutation": "permutation test of the means",
}
MAX_PERMUTATIONS = 20_000  # exact up to 8 seeds a side, random draws beyond


@dataclasses.dataclass(frozen=True)
class Difference:
    """mean(b) - mean(a), its 95% Welch interval and the two-sided p-value (NaN: no test)."""

    value: float
    low: float = np.nan
    high: float = np.nan
    p: float = np.nan


def difference(a: np.ndarray, b: np.ndarray, test: str) -> Difference:
    """Compares the seeds of one game.

    Args:
      a, b: `[n_a]` and `[n_b]` scores, at least one each; with fewer than two on a side there is
        a difference but no test.
      test: of `TESTS`. The interval is Welch's with either.
    """
    value = float(b.mean() - a.mean())
    if min(len(a), len(b)) < 2:
        return Difference(value)
    spread_a, spread_b = a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)
    spread = float(spread_a + spread_b)
    if spread <= (1e-12 * max(np.abs(a).max(), np.abs(b).max())) ** 2:
        # Every seed scored the same (Freeway: 0). Welch's t is 0/0; the permutation test is not.
        same = 1.0 if np.isclose(a.mean(), b.mean()) else 2 / math.comb(len(a) + len(b), len(a))
        return Difference(value, value, value, min(same, 1.0))
    from scipy import special  # Lazy: a tenth of a second that other verbs need not pay.

    freedom = spread**2 / (spread_a**2 / (len(a) - 1) + spread_b**2 / (len(b) - 1))
    half = float(special.stdtrit(freedom, (1 + LEVEL) / 2)) * math.sqrt(spread)
    if test == "permutation":
        p = _permutation(a, b)
    else:
        p = 2 * float(special.stdtr(freedom, -abs(value) / math.sqrt(spread)))
    return Difference(value, value - half, value + half, p)


def _permutation(a: np.ndarray, b: np.ndarray) -> float:
    from scipy import stats  # Lazy: one second.

    result = stats.permutation_test(
        (a, b),
        lambda x, y, axis: y.mean(axis) - x.mean(axis),
        vectorized=True,
        n_resamples=MAX_PERMUTATIONS,
        rng=np.random.default_rng(0),
    )
    return float(result.pvalue)


def smallest_p(a: int, b: int) -> float:
    """Returns the smallest p that a permutation test of `a` against `b` seeds can give."""
    return min(1.0, 2 / math.comb(a + b, a))


def holm(p: np.ndarray) -> np.ndarray:
    """Corrects p-values for their number (Holm 1979): `[K]` -> `[K]`; NaN are not counted."""
    corrected = np.full(len(p), np.nan)
    order = np.argsort(p)[: np.isfinite(p).sum()]
    steps = p[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return corrected
