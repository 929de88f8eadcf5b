"""Meta-world: views, goals, success, time limit, seeds, exact resume.

What needs the package runs where it is installed; a stand-in shows the rest.
"""

import numpy as np
import pytest

import embodied.envs
from embodied.core.errors import UserError
from embodied.envs import metaworld
from embodied.envs.metaworld import MetaWorld, Options
from embodied.stepping.wrappers import CheckedEnv

TASKS = ("lever_pull", "handle_pull_side", "hammer", "sweep_into", "push", "assembly")


class Camera:
    pos = np.zeros(3)


class Model:
    body_pos = np.zeros((2, 3))

    def camera(self, name):
        assert name == "corner2"
        return Camera


class Stub:
    """Has what the adapter touches; its picture is bright at the top, success flickers."""

    def __init__(self, successes=(1.0,)):
        self.model = Model()
        self.successes = list(successes)
        self.np_random = np.random.default_rng(0)
        self.chosen = []

    def seed(self, seed):
        self.np_random = np.random.default_rng(seed)

    def set_task(self, task):
        self.chosen.append(task)

    def reset(self):
        return np.ones(39), {}

    def step(self, action):
        return np.ones(39), 2.0, False, len(self.successes) == 1, {"success": self.successes.pop(0)}

    data = None

    def update_scene(self, data, camera):
        self.camera = camera

    def render(self):
        return np.repeat(np.arange(200, 0, -25, np.uint8), 8 * 3).reshape(8, 8, 3)


class Stubbed(MetaWorld):
    def _open_renderer(self):
        return self._env  # It draws itself.


def wrap(env, goals=(), **options):
    return CheckedEnv(Stubbed(env, list(goals), 0, "stub", Options(size=8, **options)), "stub")


@pytest.mark.parametrize(("camera", "top"), [("corner", 25), ("corner2", 25), ("topview", 200)])
def test_success_and_upright_images(camera, top):
    env = wrap(Stub(), camera=camera)
    obs = env.step(None)
    # A goal outside the package's own bounds is let through; success is 0 at a reset.
    assert obs["vector"].tolist() == [1.0] * 39 and obs["success"] == 0
    assert obs["image"][0, 0, 0] == top
    obs = env.step(np.zeros(4, np.float32))
    assert obs["success"] == 1 and obs["success"].dtype == np.float32
    assert obs["is_last"] and not obs["is_terminal"]


def test_a_success_within_a_repeat_is_kept_and_ends_the_holding():
    stub = Stub([0, 1, 0, 0, 0, 0, 0])
    env = wrap(stub, repeat=3)
    env.step(None)
    obs = env.step(np.zeros(4, np.float32))
    assert obs["success"] == 1 and obs["reward"] == 4 and not obs["is_last"]
    obs = env.step(np.zeros(4, np.float32))
    assert obs["success"] == 0 and obs["reward"] == 6


def test_the_moved_camera():
    wrap(Stub(), camera="corner2_close")
    assert Camera.pos.tolist() == [0.75, 0.075, 0.7]


def test_fixed_goals_are_drawn_again_and_again():
    stub = Stub([0.0])
    env = wrap(stub, goals=range(50))
    for _ in range(100):
        env.step(np.zeros(4, np.float32))
        stub.successes = [0.0]
    assert len(stub.chosen) == 50 and 10 < len(set(stub.chosen)) < 50


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

    @pytest.mark.parametrize("task", TASKS)
    def test_seeds_and_exact_resume(self, task, check_seeds, check_resume):
        check_seeds(f"metaworld_{task}", {"image": False}, 20)
        check_resume(f"metaworld_{task}", {"image": False}, 30, 60)
        check_resume(f"metaworld_{task}", {"image": False, "repeat": 100}, 3, 12)

    def test_goals(self):
        for fixed, count in ((False, 60), (True, 50)):
            env = embodied.envs.make("metaworld_push", 0, {"image": False, "fixed_goals": fixed})
            goals = set()
            for _ in range(60):
                env._over = env.unwrapped._over = True
                goals.add(env.step(None)["vector"][-3:].tobytes())
            assert len(goals) == 60 if not fixed else 10 < len(goals) < count
            assert any(np.frombuffer(goal, np.float32).any() for goal in goals)

    @pytest.mark.parametrize("camera", ["corner", "corner2_close"])
    def test_images_resume(self, camera, check_resume):
        seen = check_resume("metaworld_hammer", {"size": 32, "camera": camera}, 4, 4)
        assert seen[-1]["image"].std() > 10

    def test_images_of_several_at_once(self, roll):
        envs = [embodied.envs.make("metaworld_hammer", n, {"size": 32}) for n in range(3)]
        images = [env.step(np.zeros(4, np.float32))["image"] for env in envs + envs]
        assert all(image.std() > 10 for image in images)
        for env in envs:
            env.close()

    def test_an_unknown_camera(self):
        with pytest.raises(UserError, match="did you mean 'corner2'"):
            embodied.envs.make("metaworld_hammer", 0, {"camera": "cornr2"})

    def test_unknown_task(self):
        with pytest.raises(UserError, match="did you mean 'metaworld_lever_pull'"):
            embodied.envs.make("metaworld_lever_pul", 0)
