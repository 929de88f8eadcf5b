"""Environments that share a process: equal to those of this process, and restarted together."""

import functools
import os
import signal
import time

import faulty_env
import numpy as np
import pytest

import embodied.envs
from embodied.core.errors import UserError
from embodied.stepping import workers
from embodied.stepping.driver import Driver
from embodied.stepping.workers import Worker, shares


def make(seed, restarts):
    return embodied.envs.make("dummy_disc", seed + 100 * restarts, {"size": 8, "length": 5})


def broken(restarts):
    raise ValueError("no such game")


def worker(*seeds):
    return Worker([functools.partial(make, seed) for seed in seeds], "worker 0", 60.0)


def test_shares_by_hand():
    assert shares(5, 2) == [[0, 2, 4], [1, 3]]
    assert shares(2, 8) == [[0], [1]]
    assert shares(3, 0) == [[0, 1, 2]]


def test_rows_equal_environments_of_this_process():
    first, second = worker(0, 1), worker(2)
    there = Driver([[*first.rows, *second.rows]], threads=2)
    here = Driver([[make(seed, 0) for seed in range(3)]])
    rng = np.random.default_rng(0)
    ended = 0
    for _ in range(30):
        actions = np.stack([[here.act_space.sample(rng) for _ in range(3)]])
        active = rng.random((1, 3)) < 0.7
        found, wanted = there.step(actions, active), here.step(actions, active)
        assert found == wanted and not found[1]
        ended += len(found[0])
        for key, value in here.obs.items():
            np.testing.assert_array_equal(there.obs[key], value, err_msg=key)
    assert ended > 5
    assert there.save(0)[1] == [None] * 3
    there.close()


def test_one_row_alone():
    mine = worker(4, 5)
    obs, wanted = mine.rows[1].step(np.zeros(4)), make(5, 0).step(np.zeros(4))
    assert mine.rows[1].obs_space == make(5, 0).obs_space
    for key, value in wanted.items():
        np.testing.assert_array_equal(obs[key], value)
    mine.close()


def test_a_worker_that_dies_cuts_the_episodes_of_its_rows_only():
    first, second = worker(0, 1), worker(2)
    driver = Driver([[*first.rows, *second.rows]], threads=2)
    active, actions = np.ones((1, 3), bool), np.zeros((1, 3, 4), np.float32)
    actions[..., 0] = 1
    for _ in range(2):
        assert driver.step(actions, active) == ([], {})
    os.kill(first._process._process.pid, signal.SIGKILL)
    with pytest.warns(RuntimeWarning, match=r"worker 0: restart number 1.*SIGKILL"):
        episodes, errors = driver.step(actions, active)
    assert not episodes and not errors
    np.testing.assert_array_equal(driver.obs["is_first"], [[True, True, False]])
    np.testing.assert_array_equal(
        driver.obs["image"][0, 0], make(0, 1).step(actions[0, 0])["image"]
    )
    driver.close()


def test_a_row_that_hangs_is_noticed_after_its_own_time():
    ctors = [functools.partial(faulty_env.make, fault, 1) for fault in (None, "hang")]
    slow = Worker(ctors, "worker 0", 1.0)
    driver = Driver([slow.rows], threads=1)
    actions = np.eye(4, dtype=np.float32)[[[0, 0]]]
    driver.step(actions, np.ones((1, 2), bool))
    start = time.monotonic()
    with pytest.warns(RuntimeWarning, match="worker 0: restart number 1"):
        assert driver.step(actions, np.ones((1, 2), bool)) == ([], {})
    assert driver.obs["is_first"].all()
    assert time.monotonic() - start < 20  # Not the time of all, and a start.
    driver.close()


def test_each_row_has_the_whole_time():
    slow = Worker([functools.partial(faulty_env.make, "slow", 1)] * 3, "worker 0", 1.5)
    driver = Driver([slow.rows])
    actions = np.eye(4, dtype=np.float32)[[[0, 0, 0]]]
    for _ in range(2):  # The second takes 2.4 seconds in all; a restart would warn.
        assert driver.step(actions, np.ones((1, 3), bool)) == ([], {})
    assert not driver.obs["is_first"].any()
    driver.close()


def test_garbage_of_one_row_is_an_error_of_its_member_alone():
    bad = Worker(
        [functools.partial(faulty_env.make, fault, 1) for fault in ("nan", None)], "a", 60.0
    )
    good = Worker([functools.partial(faulty_env.make, None, 1)] * 2, "b", 60.0)
    driver = Driver([bad.rows, good.rows], threads=2)
    actions = np.eye(4, dtype=np.float32)[[[0, 0], [0, 0]]]
    active = np.ones((2, 2), bool)
    assert driver.step(actions, active) == ([], {})
    _, errors = driver.step(actions, active)
    assert list(errors) == [0] and "nan at (2,)" in str(errors[0])
    driver.close()


def test_an_environment_that_cannot_be_made():
    with pytest.raises(UserError, match=r"(?s)worker 3: .*no such game"):
        Worker([functools.partial(make, 0), broken], "worker 3", 60.0)


def test_spare_cores_leave_one(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 2, 5}, raising=False)
    assert workers.spare_cores() == 2
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert workers.spare_cores() == 7
    monkeypatch.setattr(os, "cpu_count", lambda: 128)
    assert workers.spare_cores() == 16
