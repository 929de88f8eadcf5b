"""Ratios of sums and their bootstrap over seeds and episodes."""

import numpy as np
import pytest

from lab import intervals


def test_ratio_by_hand():
    top = np.array([[[1.0, 4.0], [3.0, 0.0]]])  # One seed, two windows, two statistics.
    bottom = np.array([[[1.0, 2.0], [1.0, 0.0]]])
    first, second = intervals.ratio(top, bottom, np.array([7, 7]))
    assert first == {"mean": 2.0, "low": None, "high": None}  # One seed, one episode.
    assert second["mean"] == 2.0
    (none,) = intervals.ratio(top[..., :1], 0 * bottom[..., :1], np.array([7, 8]))
    assert none == {"mean": None, "low": None, "high": None}


def test_whole_episodes_are_resampled():
    rng = np.random.default_rng(0)
    values = np.repeat(rng.normal(size=10), 50)[None, :, None]  # Windows of one episode agree.
    episode = np.repeat(np.arange(10), 50)
    (found,) = intervals.mean(values, episode)
    (naive,) = intervals.mean(values, np.arange(500))
    # Ten independent numbers: as wide as their standard error says, not as 500 would.
    error = values[0, ::50, 0].std() / np.sqrt(10)
    assert found["high"] - found["low"] == pytest.approx(2 * 1.96 * error, rel=0.2)
    assert naive["high"] - naive["low"] < 0.3 * (found["high"] - found["low"])


def test_seeds_are_resampled_too():
    values = np.array([0.0, 1.0])[:, None, None] * np.ones((2, 6, 1))
    (found,) = intervals.mean(values, np.zeros(6, int))
    assert (found["mean"], found["low"], found["high"]) == (0.5, 0.0, 1.0)
