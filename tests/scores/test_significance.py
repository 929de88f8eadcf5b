"""Tests of a game against SciPy's."""

import math

import numpy as np
import pytest
import scipy.stats

from scores.significance import difference, holm, smallest_p

A = np.array([924.3, 666.9, 876.7, 630.6, 830.2])
B = np.array([879.1, 981.6, 683.7, 894.9, 1009.0])


def test_welch_is_scipys():
    found = difference(A, B[:4], "welch")
    theirs = scipy.stats.ttest_ind(B[:4], A, equal_var=False)
    assert found.value == pytest.approx(B[:4].mean() - A.mean())
    assert found.p == pytest.approx(theirs.pvalue)
    assert [found.low, found.high] == pytest.approx(list(theirs.confidence_interval()))


def test_permutation_is_exact():
    # All of b above all of a: 2 of C(6, 3) = 20 splits are as extreme.
    found = difference(np.array([1.0, 2, 3]), np.array([4.0, 5, 6]), "permutation")
    assert found.p == pytest.approx(2 / 20)
    assert smallest_p(3, 3) == pytest.approx(2 / 20)
    assert smallest_p(5, 5) == pytest.approx(2 / 252)


@pytest.mark.parametrize("test", ["welch", "permutation"])
def test_constant_scores(test):
    zeros = np.zeros(5)
    assert difference(zeros, zeros, test).p == 1
    found = difference(zeros, zeros + 30, test)
    assert (found.value, found.low, found.high) == (30, 30, 30)
    assert found.p == pytest.approx(2 / 252)


def test_one_seed_is_not_tested():
    found = difference(A[:1], B, "welch")
    assert found.value == pytest.approx(B.mean() - A[0])
    assert math.isnan(found.p)
    assert math.isnan(found.low)


def test_holm_by_hand():
    # Sorted 0.01, 0.02, 0.04 times 3, 2, 1: 0.03, 0.04, 0.04; the missing one does not count.
    np.testing.assert_allclose(
        holm(np.array([0.04, 0.01, np.nan, 0.02])), [0.04, 0.03, np.nan, 0.04]
    )
    # Never below a smaller one's, never above one.
    np.testing.assert_allclose(holm(np.array([0.01, 0.011, 0.9])), [0.03, 0.03, 0.9])
    np.testing.assert_allclose(holm(np.array([0.6, 0.7])), [1, 1])
