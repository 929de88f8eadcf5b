"""dm_control: observations, ends, exact resume with models that change between episodes."""

import subprocess
import sys

import numpy as np
import pytest

import embodied.envs
from embodied.core.errors import UserError
from embodied.envs import dmc
from embodied.envs._tools import state as states

pytest.importorskip("dm_control")
pytestmark = pytest.mark.filterwarnings("default")  # MuJoCo's Python packages warn as they like.

VECTORS = {"image": False}


def test_vectors_and_time_limit(roll):
    env = embodied.envs.make("dmc_walker_walk", 0, {**VECTORS, "repeat": 50})
    assert {"orientations", "height", "velocity"} <= set(env.obs_space)
    assert env.obs_space["height"].shape == (1,)
    assert env.act_space["action"].shape == (6,)
    seen = roll(env, 22)
    # 1000 control steps are 20 of ours; a time limit is no terminal end.
    assert [bool(obs["is_last"]) for obs in seen] == [False] * 20 + [True, False]
    assert not any(obs["is_terminal"] for obs in seen)


def test_equals_the_suite_with_summed_rewards():
    suite = dmc.load_suite(render=True)
    plain = suite.load("cartpole", "swingup", task_kwargs={"random": 4})
    env = embodied.envs.make("dmc_cartpole_swingup", 4, {**VECTORS, "repeat": 3})
    step = plain.reset()
    obs = env.step(None)
    rng = np.random.default_rng(0)
    for _ in range(50):
        for key, value in step.observation.items():
            np.testing.assert_array_equal(obs[key], np.asarray(value, np.float32))
        action = rng.uniform(-1, 1, 1).astype(np.float32)
        reward = 0.0
        for _ in range(3):
            step = plain.step(action)
            reward += step.reward
        obs = env.step(action)
        assert obs["reward"] == np.float32(reward)


@pytest.mark.parametrize(
    "task",
    ["walker_walk", "reacher_hard", "point_mass_hard", "finger_turn_easy", "lqr_lqr_2_1"],
)
def test_resume_is_exact(task, check_resume):
    # 100 control steps a step: more than one episode before and after.
    check_resume(f"dmc_{task}", {**VECTORS, "repeat": 100}, 14, 25)
    check_resume(f"dmc_{task}", VECTORS, 20, 200)


@pytest.mark.parametrize("key", ["get_reward", "before_step", "_random", "__class__"])
def test_a_state_replaces_no_part_of_the_task(key):
    env = dmc.make("cheetah_run", 0, dmc.Options(image=False))
    env.step(None)
    state = states.unpack(env.save())
    state["task"][key] = 3
    with pytest.raises(UserError, match=f"replaces '{key}'"):
        env.load(states.pack(state))


def test_seeds(check_seeds):
    check_seeds("dmc_cheetah_run", VECTORS, 10)


@pytest.mark.slow
def test_every_task_resumes_exactly(check_resume):
    for domain, task in dmc.load_suite(render=True).ALL_TASKS:
        check_resume(f"dmc_{domain}_{task}", {**VECTORS, "repeat": 50}, 10, 15)


def test_images():
    env = embodied.envs.make("dmc_cartpole_swingup", 0, {"size": 32})
    first = env.step(None)["image"]
    assert first.shape == (32, 32, 3) and first.dtype == np.uint8
    state = env.save()
    images = [env.step(np.ones(1, np.float32))["image"].copy() for _ in range(5)]
    assert (images[-1] != first).any()
    env.load(state)
    for image in images:
        np.testing.assert_array_equal(env.step(np.ones(1, np.float32))["image"], image)
    env.close()


def test_a_machine_that_cannot_render():
    code = (
        "import sys; sys.modules['OpenGL.EGL'] = None\n"
        "import importlib.abc\n"
        "class Broken(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'OpenGL.EGL': raise AttributeError('no eglQueryString')\n"
        "del sys.modules['OpenGL.EGL']; sys.meta_path.insert(0, Broken())\n"
        "import embodied.envs\n"
        "from embodied.core.errors import UserError\n"
        "try: embodied.envs.make('dmc_cartpole_swingup', 0)\n"
        "except UserError as error: print(error)\n"
        "env = embodied.envs.make('dmc_cartpole_swingup', 0, {'image': False})\n"
        "print(sorted(env.step(None)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "MUJOCO_GL=egl" in done.stdout and "libegl1" in done.stdout
    assert "'position'" in done.stdout


@pytest.mark.parametrize(
    ("task", "options", "words"),
    [
        ("dmc_walker_wakl", {}, "did you mean 'dmc_walker_walk'"),
        ("dmc_walker_walk", {"camera": 9}, "env.dmc.camera 9: dmc_walker_walk has 2 cameras"),
        ("dmc_walker_walk", {"image": False, "vectors": False}, "nothing to observe"),
        ("dmc_walker_walk", {"repeat": 0}, "at least 1"),
    ],
)
def test_mistakes(task, options, words):
    with pytest.raises(UserError, match=words):
        embodied.envs.make(task, 0, options)
