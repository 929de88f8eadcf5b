"""Stepping many environments and following their episodes."""

from __future__ import annotations

from typing import Any

import numpy as np

from embodied.core.env import STANDARD_SPACES, Obs, standard_obs
from embodied.core.space import Space
from embodied.stepping.driver import Driver


class Script:
    """Plays a list of (reward, first, last, terminal, success)."""

    repeat = 4
    savable = True

    def __init__(self, *rows: tuple[float, bool, bool, bool, float] | Exception) -> None:
        self.obs_space = {**STANDARD_SPACES, "success": Space(np.float32)}
        self.act_space = {"action": Space(np.float32, (2,), -1, 1)}
        self.rows = list(rows)
        self.actions: list[np.ndarray] = []
        self.closed = False

    def step(self, action: np.ndarray) -> Obs:
        row = self.rows[len(self.actions)]
        self.actions.append(action.copy())
        if isinstance(row, Exception):
            raise row
        obs = standard_obs(*row[:4])
        obs["success"] = np.asarray(row[4], np.float32)
        return obs

    def save(self) -> bytes | None:
        return None

    def load(self, data: bytes) -> None:
        raise AssertionError

    def close(self) -> None:
        self.closed = True


def actions(value: float, *shape: int) -> np.ndarray:
    return np.full((*shape, 2), value, np.float32)


FIRST = (0.0, True, False, False, 0.0)


def run(driver: Driver, steps: int, active: Any) -> list[Any]:
    found = []
    for number in range(steps):
        episodes, errors = driver.step(actions(number, *active.shape), active)
        assert not errors
        found += [(number, e.row, e.total, e.length, e.terminated, e.success) for e in episodes]
    return found


def test_episodes_by_hand() -> None:
    a = Script(FIRST, (1, False, False, False, 0), (2, False, True, True, 0), FIRST)
    b = Script(FIRST, (5, False, True, False, 1), FIRST, (7, False, False, False, 0))
    driver = Driver([[a, b]])
    assert run(driver, 4, np.ones((1, 2), bool)) == [
        (1, 1, 5.0, 1, False, True),
        (2, 0, 3.0, 2, True, False),
    ]
    np.testing.assert_array_equal(driver.obs["reward"], [[0, 7]])
    assert [float(action[0]) for action in a.actions] == [0, 1, 2, 3]


def test_an_episode_lost_by_a_restart_is_dropped() -> None:
    env = Script(FIRST, (9, False, False, False, 1), FIRST, (1, False, True, False, 0))
    assert run(Driver([[env]]), 4, np.ones((1, 1), bool)) == [(3, 0, 1.0, 1, False, False)]


def test_inactive_environments_keep_still() -> None:
    a, b = Script(FIRST), Script(FIRST, (1, False, False, False, 0))
    driver = Driver([[a], [b]])
    driver.step(actions(0, 2, 1), np.array([[True], [True]]))
    before = driver.obs["is_first"]
    driver.step(actions(0, 2, 1), np.array([[False], [True]]))
    np.testing.assert_array_equal(driver.obs["is_first"], [[True], [False]])
    np.testing.assert_array_equal(before, [[True], [True]])  # Old arrays stay as they were.
    assert len(a.actions) == 1


def test_an_error_is_its_members_own() -> None:
    a = Script(FIRST, ZeroDivisionError("boom"))
    b = Script(FIRST, (1, False, True, False, 0))
    driver = Driver([[a, Script(FIRST, FIRST)], [b, Script(FIRST, FIRST)]], threads=4)
    active = np.ones((2, 2), bool)
    driver.step(actions(0, 2, 2), active)
    episodes, errors = driver.step(actions(0, 2, 2), active)
    assert [episode.member for episode in episodes] == [1]
    assert list(errors) == [0] and isinstance(errors[0], ZeroDivisionError)
    driver.close()
    assert a.closed and b.closed


def test_an_environment_without_a_state_is_cut() -> None:
    driver = Driver([[Script(FIRST, (4, False, False, False, 0))]])
    run(driver, 2, np.ones((1, 1), bool))
    obs, states, episodes = driver.save(0)
    assert states == [None] and episodes["totals"] == [4.0]
    other = Driver([[Script(FIRST, (1, False, True, False, 0))]])
    other.load(0, obs, states, episodes)
    assert other.obs["is_last"][0, 0] and other.obs["reward"][0, 0] == 4
    assert run(other, 2, np.ones((1, 1), bool)) == [(1, 0, 1.0, 1, False, False)]
