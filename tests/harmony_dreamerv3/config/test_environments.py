"""Environments of a configuration."""

import pickle

import pytest

from embodied.core.errors import UserError
from harmony_dreamerv3 import config as configs
from harmony_dreamerv3.config import environments


def test_other_processes_can_make_the_environments():
    make = environments.maker(configs.make(["debug"], {"env.dummy.size": 16}))
    env = pickle.loads(pickle.dumps(make))(0, 0, 3)
    assert env.obs_space["image"].shape == (16, 16, 3)


def test_spaces_are_looked_at_and_the_environment_closed():
    closed = []

    def make(member, index, seed):
        env = environments.maker(configs.make(["debug"]))(member, index, seed)
        close = env.close
        env.close = lambda: closed.append(seed) or close()
        return env

    spaces = environments.spaces(make)
    assert spaces.act["action"].discrete and "image" in spaces.obs and spaces.repeat == 1
    assert closed == [0]


def test_a_task_that_does_not_exist_is_named():
    make = environments.maker(configs.make(["debug"], {"task": "atari_pnog"}))
    with pytest.raises(UserError, match="atari_pong"):
        environments.spaces(make)
