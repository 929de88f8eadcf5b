"""Stepping many environments and following their episodes."""

from __future__ import annotations

from typing import Any

import numpy as np

from embodied.core.env import STANDARD_SPACES, Obs, standard_obs
from embodied.core.space import Space
from embodied.stepping.driver import Driver
from embodied.stepping.groups import Local


class Script:
    """Plays a list of (reward, first, last, terminal, success)."""

    repeat = 4
    savable = True

    def __init__(self, *rows: tuple[float, bool, bool, bool, float] | Exception) -> None:
        self.obs_space = {**STANDARD_SPACES, "success": Space(np.float32)}
        self.act_space = {"action": Space(np.float32, (2,), -1, 1)}
        self.rows = list(rows)
        self.actions: list[np.ndarray | None] = []
        self.closed = False

    def step(self, action: np.ndarray | None) -> Obs:
        row = self.rows[len(self.actions)]
        self.actions.append(action)
        if isinstance(row, Exception):
            raise row
        obs = standard_obs(*row[:4])
        obs["success"] = np.asarray(row[4], np.float32)
        return obs

    def save(self) -> bytes | None:
        return None

    def load(self, data: bytes) -> None:
        """Has no state."""

    def close(self) -> None:
        self.closed = True


def local(*envs: Script) -> Local:
    return Local([lambda env=env: env for env in envs])  # type: ignore[misc]


def actions(value: float, *shape: int) -> np.ndarray:
    return np.full((*shape, 2), value, np.float32)


FIRST = (0.0, True, False, False, 0.0)


def run(driver: Driver, steps: int, active: Any) -> list[Any]:
    found = []
    for number in range(steps):
        stepped = driver.step(actions(number, *active.shape), active)
        assert not stepped.errors
        found += [
            (number, e.row, e.total, e.length, e.terminated, e.success) for e in stepped.episodes
        ]
    return found


def test_episodes_by_hand() -> None:
    a = Script(FIRST, (1, False, False, False, 0), (2, False, True, True, 0), FIRST)
    b = Script(FIRST, (5, False, True, False, 1), FIRST, (7, False, False, False, 0))
    driver = Driver([[local(a, b)]])
    assert run(driver, 4, np.ones((1, 2), bool)) == [
        (1, 1, 5.0, 1, False, True),
        (2, 0, 3.0, 2, True, False),
    ]
    np.testing.assert_array_equal(driver.obs["reward"], [[0, 7]])
    assert [None if x is None else float(x[0]) for x in a.actions] == [None, 1, 2, None]


def test_an_episode_lost_by_a_restart_is_dropped() -> None:
    env = Script(FIRST, (9, False, False, False, 1), FIRST, (1, False, True, False, 0))
    driver, active = Driver([[local(env)]]), np.ones((1, 1), bool)
    found = [driver.step(actions(0, 1, 1), active) for _ in range(4)]
    assert [bool(stepped.cut[0, 0]) for stepped in found] == [False, False, True, False]
    ended = [(e.total, e.length, e.success) for stepped in found for e in stepped.episodes]
    assert ended == [(1.0, 1, False)]


def test_inactive_environments_keep_still() -> None:
    a, b = Script(FIRST), Script(FIRST, (1, False, False, False, 0))
    driver = Driver([[local(a)], [local(b)]])
    driver.step(actions(0, 2, 1), np.array([[True], [True]]))
    before = driver.obs["is_first"]
    driver.step(actions(0, 2, 1), np.array([[False], [True]]))
    np.testing.assert_array_equal(driver.obs["is_first"], [[True], [False]])
    np.testing.assert_array_equal(before, [[True], [True]])  # Old arrays stay as they were.
    assert len(a.actions) == 1


def test_an_error_is_its_members_own() -> None:
    a = Script(FIRST, ZeroDivisionError("boom"))
    b = Script(FIRST, (1, False, True, False, 0))
    others = [Script(FIRST, (0, False, False, False, 0)) for _ in range(2)]
    driver = Driver([[local(a), local(others[0])], [local(b), local(others[1])]], threads=4)
    active = np.ones((2, 2), bool)
    driver.step(actions(0, 2, 2), active)
    stepped = driver.step(actions(0, 2, 2), active)
    assert [episode.member for episode in stepped.episodes] == [1]
    assert list(stepped.errors) == [0] and isinstance(stepped.errors[0], ZeroDivisionError)
    np.testing.assert_array_equal(driver.obs["is_first"], [[True, True], [False, False]])
    driver.close()
    assert a.closed and b.closed


def test_an_environment_without_a_state_is_cut() -> None:
    driver = Driver([[local(Script(FIRST, (4, False, False, False, 0)))]])
    run(driver, 2, np.ones((1, 1), bool))
    obs, states, episodes = driver.save(0)
    assert states == [None] and episodes["totals"] == [4.0]
    other = Driver([[local(Script(FIRST, (1, False, True, False, 0)))]])
    other.load(0, obs, states, episodes)
    assert other.obs["is_last"][0, 0] and other.obs["reward"][0, 0] == 4
    assert run(other, 2, np.ones((1, 1), bool)) == [(1, 0, 1.0, 1, False, False)]


def test_a_limit_cuts_what_does_not_end() -> None:
    on = (1.0, False, False, False, 0.0)
    env, short = Script(FIRST, on, on, FIRST, on, on), Script(FIRST, on, (1, False, True, True, 0))
    driver = Driver([[local(env, short)]], limit=2)
    step = actions(1, 1, 2)
    both, long = np.array([[True, True]]), np.array([[True, False]])
    for _ in range(2):
        assert not driver.step(step, both).episodes
    stepped = driver.step(step, both)
    assert stepped.limited and not stepped.cut.any()
    cut, own = stepped.episodes
    assert (cut.row, cut.total, cut.length, cut.terminated) == (0, 2.0, 2, False)
    assert own.row == 1 and own.terminated  # Ends by itself at the same step.
    assert driver.obs["is_last"].all() and not driver.obs["is_terminal"][0, 0]
    driver.step(step, long)
    assert env.actions[3] is None and driver.obs["is_first"][0, 0]
    driver.step(step, long)
    # A resumed run counts on.
    obs, _, running = driver.save(0)
    other = Driver([[local(Script(on), Script())]], limit=2)
    other.load(0, obs, [b"", b""], running)
    assert other.step(step, long).episodes[0].length == 2
