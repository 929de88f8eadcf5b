"""Environments of the caller: borrowed, copied, made."""

import gymnasium
import numpy as np
import pytest

from embodied.core.errors import UserError
from embodied.envs.gym import Options
from harmony_dreamerv3.api import own_env


class Counter(gymnasium.Env):
    """Counts its steps; one that is told so cannot be copied."""

    observation_space = gymnasium.spaces.Box(0, 1000, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(3)

    def __init__(self, copyable=True):
        self.steps, self.closed = 0, False
        self._handle = None if copyable else (x for x in [])  # Generators cannot be copied.

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.steps += 1
        return np.full(2, self.steps, np.float32), 1.0, False, False, {}

    def close(self):
        self.closed = True


def test_training_steps_the_environment_itself_and_leaves_it_open():
    env = Counter()
    mine = own_env.maker(env, Options())(0, 0, 7)
    mine.step(None)
    mine.step(np.float32([0, 1, 0]))
    mine.close()
    assert env.steps == 1 and not env.closed


def test_others_get_copies():
    env = Counter()
    for evaluation, member, index in ((True, 0, 0), (False, 1, 0), (False, 0, 1)):
        other = own_env.maker(env, Options(), evaluation)(member, index, 7)
        other.step(None)
        other.step(np.float32([0, 1, 0]))
        other.close()
    assert env.steps == 0 and not env.closed


def test_a_function_makes_them():
    made = []
    make = own_env.maker(lambda: made.append(Counter()) or made[-1], Options())
    first, second = make(0, 0, 1), make(0, 0, 1)
    assert first is not second and len(made) >= 2
    first.close()
    assert made[0].closed


def test_what_cannot_be_copied_is_named():
    with pytest.raises(UserError, match=r"gym_Counter: a further environment is needed.*function"):
        own_env.maker(Counter(copyable=False), Options(), evaluation=True)(0, 0, 0)


def test_names():
    assert own_env.name(gymnasium.make("CartPole-v1")) == "gym_CartPole-v1"
    assert own_env.name(Counter()) == own_env.name(Counter) == "gym_Counter"
    assert own_env.name(lambda: Counter()) == "gym_lambda"
