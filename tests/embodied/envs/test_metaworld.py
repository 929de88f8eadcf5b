"""Meta-world, where its package is installed: success, time limit, seeds, upright images."""

import numpy as np
import pytest

import embodied.envs
from embodied.core.errors import UserError
from embodied.envs import metaworld
from embodied.envs.metaworld import MetaWorld, Options
from embodied.stepping.wrappers import CheckedEnv

gymnasium = pytest.importorskip("gymnasium")


class Stub(gymnasium.Env):
    """Has Meta-world's spaces and infos; its picture is bright at the top."""

    observation_space = gymnasium.spaces.Box(0.0, 0.0, (39,), np.float64)
    action_space = gymnasium.spaces.Box(-1, 1, (4,), np.float32)

    def reset(self, *, seed=None, options=None):
        return np.ones(39), {}

    def step(self, action):
        return np.ones(39), 2.0, False, True, {"success": 1.0}

    def render(self):
        return np.repeat(np.arange(200, 0, -25, np.uint8), 8 * 3).reshape(8, 8, 3)


@pytest.mark.parametrize(("camera", "top"), [("corner2", 25), ("topview", 200)])
def test_success_and_upright_images(camera, top):
    env = CheckedEnv(MetaWorld(Stub(), 0, "stub", Options(size=8, camera=camera)), "stub")
    obs = env.step(None)
    # A goal outside the package's own bounds is let through; success is 0 at a reset.
    assert obs["vector"].tolist() == [1.0] * 39 and obs["success"] == 0
    assert obs["image"][0, 0, 0] == top
    obs = env.step(np.zeros(4, np.float32))
    assert obs["success"] == 1 and obs["success"].dtype == np.float32
    assert obs["is_last"] and not obs["is_terminal"]


def test_bad_options():
    with pytest.raises(UserError, match="size must be at least 1"):
        metaworld.Options(size=0)


@pytest.mark.filterwarnings("default")
class TestInstalled:
    @pytest.fixture(autouse=True)
    def _package(self):
        pytest.importorskip("metaworld")

    def test_episodes_are_cut_after_500_steps(self, roll):
        env = embodied.envs.make("metaworld_lever_pull", 0, {"image": False})
        seen = roll(env, 502)
        assert [i for i, obs in enumerate(seen) if obs["is_last"]] == [500]
        assert not seen[500]["is_terminal"] and seen[501]["is_first"]

    def test_seeds(self, check_seeds):
        check_seeds("metaworld_hammer", {"image": False}, 20)

    def test_images(self, roll):
        env = embodied.envs.make("metaworld_lever_pull", 0, {"size": 32})
        assert roll(env, 3)[-1]["image"].std() > 10
        env.close()

    def test_unknown_task(self):
        with pytest.raises(UserError, match="did you mean 'metaworld_lever_pull'"):
            embodied.envs.make("metaworld_lever_pul", 0)
