"""Environments by name: what exists, and what is said about what does not."""

import subprocess
import sys

import numpy as np
import pytest

import embodied.envs
from embodied.core.env import STANDARD_SPACES, Env
from embodied.core.errors import UserError


def test_suites_have_options_with_defaults_and_docs():
    suites = embodied.envs.suites()
    assert {"atari", "catch", "distract", "dmc", "dummy", "gym", "metaworld"} <= set(suites)
    for suite in suites.values():
        options = suite.options()
        for key, value in vars(options).items():
            assert isinstance(value, bool | int | float | str | dict)
            assert f"  {key}: " in suite.options.__doc__, f"{suite.name}.{key} is not explained"
        with pytest.raises(AttributeError):
            options.repeat = 2


def test_no_simulator_is_imported_for_names():
    heavy = ("ale_py", "gymnasium", "dm_control", "mujoco", "metaworld", "jax")
    code = (
        "import sys, embodied.envs; embodied.envs.suites(); embodied.envs.tasks('atari'); "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("task", "options", "words"),
    [
        ("atari_pnog", {}, "unknown task 'atari_pnog'; did you mean 'atari_pong'?"),
        ("atri_pong", {}, "unknown suite 'atri'; did you mean 'atari'?"),
        ("pong", {}, "expected a task '<suite>_<name>', got 'pong'; did you mean 'atari_pong'?"),
        ("catch_esy", {}, "did you mean 'catch_easy'"),
        ("dummy_disc", {"lenght": 3}, "unknown option env.dummy.lenght; did you mean 'length'?"),
        ("dummy_disc", {"length": "3"}, "env.dummy.length must be of type int, got '3'"),
        ("dummy_disc", {"length": 3.5}, "env.dummy.length must be of type int, got 3.5"),
        ("dummy_disc", {"image": 1}, "env.dummy.image must be of type bool, got 1"),
        ("gym_Cartpole-v1", {}, "did you mean 'gym_CartPole-v1'"),
        ("gym_Blackjack-v1", {}, "gym_Blackjack-v1: vector: expected an observation of Box"),
        ("gym_nowhere:Thing-v0", {}, "cannot make gym_nowhere:Thing-v0: No module named 'nowhere'"),
    ],
)
def test_mistakes_name_the_nearest(task, options, words):
    with pytest.raises(UserError) as caught:
        embodied.envs.make(task, 0, options)
    assert words in str(caught.value)


def test_missing_packages_are_named(monkeypatch):
    for package, task in (("metaworld", "lever_pull"), ("dm_control.suite", "walker_walk")):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(UserError, match=r"pip install"):
            embodied.envs.make(f"{package.split('.')[0].replace('dm_control', 'dmc')}_{task}", 0)


@pytest.mark.parametrize("task", ["catch_easy", "minatar_breakout", "dmcr_walker_run"])
def test_negative_seeds_are_refused(task):
    with pytest.raises(UserError, match=f"expected a seed of 0 or more for {task}, got -1"):
        embodied.envs.make(task, -1)


def test_numbers_change_kind_only_without_loss():
    env = embodied.envs.make("dummy_disc", 0, {"length": 4.0, "death": 0, "size": 16})
    lengths = [bool(env.step(np.eye(4, dtype=np.float32)[0])["is_last"]) for _ in range(10)]
    assert lengths == [False] * 4 + [True] + [False] * 4 + [True]


@pytest.mark.parametrize(
    "task", ["dummy_disc", "dummy_cont", "catch_easy", "distract_push", "gym_Pendulum-v1"]
)
def test_contract(task, roll):
    env = embodied.envs.make(task, 0, {})
    assert isinstance(env, Env)
    assert STANDARD_SPACES.keys() < env.obs_space.keys()
    last = True
    for obs in roll(env, 300):
        assert obs["is_first"] == last
        last = bool(obs["is_last"])
    env.close()
    env.close()
