"""Which loss a learner died of."""

import numpy as np

from harmony_dreamerv3.runtime.failures import Failures

NAMES = ["balance/weight/reward", "grad_norm/model", "loss/model", "loss/reward"]
BAD = np.nan


def test_the_first_and_deepest_cause_is_kept():
    failures = Failures(2)
    failures.look(NAMES, np.array([[1, 1, 1, 1], [1, BAD, BAD, BAD]], float))
    assert failures.reasons(np.array([True, False])) == [None, "loss/reward"]
    failures.look(NAMES, np.array([[1, 1, 1, 1], [1, BAD, 1, 1]], float))
    assert failures.reasons(np.array([True, False])) == [None, "loss/reward"]  # The first stays.


def test_what_is_only_looked_at_is_no_cause():
    failures = Failures(1)
    failures.look(NAMES, np.array([[BAD, 1, 1, 1]]))
    assert failures.reasons(np.array([True])) == [None]
    failures.look(NAMES, np.array([[1, np.inf, 1, 1]]))
    assert failures.reasons(np.array([False])) == ["grad_norm/model"]


def test_a_death_that_nobody_saw_was_before():
    failures = Failures(2)
    dead = np.array([True, False])
    assert failures.missing(dead)
    assert failures.reasons(dead) == [None, "of an earlier update"]
    assert not failures.missing(dead)
