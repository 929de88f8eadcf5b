"""Aggregates by hand, and the bootstrap against SciPy's."""

import time

import numpy as np
import pytest
import scipy.stats

from scores import stats

RNG = np.random.default_rng(3)
SCORES = RNG.gamma(1.0, 1.0, (5, 26))
HOLES = np.where(RNG.random((5, 26)) < 0.3, np.nan, SCORES)
HOLES[0] = SCORES[0]  # at least one run each


def test_aggregates_by_hand():
    # Two games of two runs: means 2 and 0.5; all runs sorted 0, 1, 1, 3.
    x = np.array([[1.0, 0.0], [3.0, 1.0]])
    assert stats.mean(x) == 1.25
    assert stats.median(x) == 1.25
    assert stats.iqm(x) == 1.0  # one quarter cut at each end leaves 1, 1
    assert stats.optimality_gap(x) == 0.25  # 1 - mean(1, 1, 0, 1)


def test_holes_do_not_count():
    x = np.array([[1.0, 0.0], [np.nan, 1.0]])
    assert stats.mean(x) == 0.75
    assert stats.optimality_gap(x) == 1 - (1 + 0.5) / 2
    assert stats.iqm(np.array([[1.0, 5.0], [np.nan, 3.0], [np.nan, 100.0]])) == 4  # 3 and 5


@pytest.mark.parametrize("shape", [(5, 26), (1, 26), (3, 1), (7, 5)])
def test_iqm_is_scipys_trimmed_mean(shape):
    x = RNG.normal(size=shape)
    np.testing.assert_allclose(stats.iqm(x), scipy.stats.trim_mean(x, 0.25, axis=None))


def test_resamples_stay_in_their_task_and_keep_its_number_of_runs():
    drawn = np.concatenate(list(stats.resamples(HOLES, np.random.default_rng(0), 50, 7)))
    assert drawn.shape == (50, 5, 26)
    for task in range(26):
        have = HOLES[:, task][np.isfinite(HOLES[:, task])]
        assert (np.isfinite(drawn[:, :, task]).sum(1) == len(have)).all()
        seen = drawn[:, :, task]
        assert set(seen[np.isfinite(seen)]) <= set(have)


@pytest.mark.parametrize("name", stats.AGGREGATES)
def test_bootstrap_agrees_with_scipys(name):
    statistic = stats.AGGREGATES[name]
    ours = stats.aggregates(SCORES, 20_000)[name]

    def of_tasks(*tasks, axis):
        return statistic(np.stack(tasks, axis=-1))

    theirs = scipy.stats.bootstrap(
        tuple(SCORES.T), of_tasks, n_resamples=20_000, method="percentile", vectorized=True,
        rng=np.random.default_rng(1), batch=500,
    )  # fmt: skip
    low, high = theirs.confidence_interval
    assert ours.value == statistic(SCORES)
    width = high - low
    np.testing.assert_allclose([ours.low, ours.high], [low, high], atol=0.05 * width)


def test_intervals_do_not_depend_on_chunks(monkeypatch):
    whole = stats.aggregates(HOLES)
    monkeypatch.setattr(stats, "MAX_ELEMENTS", 1000)
    parts = stats.aggregates(HOLES)
    assert {key: str(value) for key, value in whole.items()} == {
        key: str(value) for key, value in parts.items()
    }


def test_one_run_a_task_has_no_interval_and_empty_no_value():
    found = stats.aggregates(SCORES[:1])["mean"]
    assert str(found) == f"{SCORES[0].mean():.3f}"
    assert str(stats.aggregates(np.full((3, 26), np.nan))["iqm"]) == "–"


def test_improvement_by_hand():
    a = np.array([[1.0, 5.0], [2.0, 5.0]])
    b = np.array([[2.0, 9.0], [3.0, np.nan]])
    # Game 1: 2>1, 2=2, 3>1, 3>2: 3.5 of 4; game 2: 2 of 2.
    assert stats.improvement(a, b).value == pytest.approx((3.5 / 4 + 1) / 2)
    assert stats.improvement(b, a).value == pytest.approx(1 - (3.5 / 4 + 1) / 2)
    alike = stats.improvement(SCORES, SCORES)
    assert alike.value == pytest.approx(0.5)
    assert alike.low < 0.5 < alike.high


def test_aggregate_differences():
    found = stats.aggregate_differences(SCORES, SCORES + 1)["mean"]
    assert found.value == pytest.approx(1)
    assert found.low < 1 < found.high


def test_two_thousand_resamples_of_26_by_5_take_less_than_a_second():
    start = time.perf_counter()
    stats.aggregates(SCORES, 2000)
    assert time.perf_counter() - start < 1
