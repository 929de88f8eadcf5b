"""An episode that is cut from outside ends in every suite, and the next one is whole."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest

import embodied.envs
from embodied.core.errors import UserError
from embodied.core.space import Space
from embodied.envs.dummy import Dummy, Options
from embodied.stepping.driver import Driver
from embodied.stepping.groups import Local
from embodied.stepping.wrappers import CheckedEnv


class Endless(gymnasium.Env):
    """Gives 1 for ever."""

    observation_space = gymnasium.spaces.Box(-1, 1, (3,), np.float32)
    action_space = gymnasium.spaces.Discrete(3)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return np.zeros(3, np.float32), {}

    def step(self, action: int) -> Any:
        return np.zeros(3, np.float32), 1.0, False, False, {}


@pytest.mark.filterwarnings("default")  # Simulators' packages warn as they like.
@pytest.mark.parametrize(
    ("task", "options"),
    [
        ("dummy_disc", {"size": 8}),
        ("catch_easy", {}),
        ("distract_reach", {}),
        ("gym_CartPole-v1", {}),
        ("atari_pong", {}),
        ("atari_breakout", {"lives": "continue"}),
        ("dmc_cartpole_swingup", {"image": False}),
        ("dmc_lqr_lqr_2_1", {"image": False}),
        ("crafter_reward", {}),
        ("minatar_breakout", {}),
        (f"{__name__}:Endless", {}),
    ],
)
def test_every_suite_starts_again(task: str, options: dict[str, Any]) -> None:
    package = {"dmc": "dm_control", "crafter": "crafter", "minatar": "minatar"}
    if task.partition("_")[0] in package:
        pytest.importorskip(package[task.partition("_")[0]], exc_type=ImportError)
    env = embodied.envs.make(task, 0, options)
    driver = Driver([[Local([lambda: env])]], limit=5)
    rng, active = np.random.default_rng(0), np.ones((1, 1), bool)
    lengths, firsts = [], []
    for _ in range(18):
        stepped = driver.step(driver.act_space.sample(rng)[None, None], active)
        assert not stepped.errors and not stepped.cut.any()
        lengths += [episode.length for episode in stepped.episodes]
        firsts.append(bool(driver.obs["is_first"][0, 0]))
    assert lengths == [5, 5, 5]
    assert [index for index, first in enumerate(firsts) if first] == [0, 6, 12]
    driver.close()


def test_an_environment_that_cannot_be_cut_is_named() -> None:
    class Stubborn(Dummy):
        """Looks at no action but its own."""

        def step(self, action: np.ndarray | None) -> Any:
            return super().step(np.zeros(4, np.float32))

    env = CheckedEnv(Stubborn(True, 0, Options(death=0.0)), "mine")
    assert isinstance(env.act_space["action"], Space)
    driver = Driver([[Local([lambda: env])]], limit=3)
    idle = np.eye(4, dtype=np.float32)[:1][None]
    active = np.ones((1, 1), bool)
    for _ in range(4):
        assert not driver.step(idle, active).errors
    error = driver.step(idle, active).errors[0]
    assert isinstance(error, UserError) and "mine: 'is_first' must be True" in str(error)
